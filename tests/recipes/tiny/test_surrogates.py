"""Which texts the surrogates are trained and judged on: nothing that is judged on was trained on."""

import re
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from keepmap.kv.data.facts import is_for_evaluation
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.kv.surrogate_training import TrainedSurrogate
from keepmap.recipes.tiny import surrogates
from keepmap.recipes.tiny.loop import build_model
from keepmap.recipes.tiny.recipe import miniature
from keepmap.recipes.tiny.surrogates import CONTEXT, HIDDEN, train_surrogates
from keepmap.recipes.tiny.tokenizer import wrap_tokenizer
from tests.recipes.tiny.documents import DOCUMENTS

HELD_OUT = [[f"Held out {k}: something else\nis written here." for k in range(40)]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What trainings are called with, call by call."""
    calls: list[dict[str, Any]] = []

    def train(model: Any, texts: list[str], **options: Any) -> TrainedSurrogate:
        calls.append({"texts": texts, **options})
        return TrainedSurrogate(
            surrogate=KVzapSurrogate(SurrogateConfig(4, 1, 1, options["hidden_dim"])),
            model="tiny",
            mean=0.5,
            interval=(None, None),
            explained=np.array([[0.5]]),
            n_texts=2,
            n_positions=9,
            n_held_out_texts=1,
            n_held_out_positions=9,
        )

    monkeypatch.setattr(surrogates, "train_surrogate", train)
    return calls


def train_all(bpe: Tokenizer, seed: int = 0) -> dict[str, Any]:
    tokenizer = wrap_tokenizer(bpe, 2 * CONTEXT)
    return train_surrogates(build_model(miniature()), tokenizer, DOCUMENTS, HELD_OUT, seed, miniature=True)


def test_training_and_judging_share_no_text_and_no_pair(calls: list[dict[str, Any]], bpe: Tokenizer) -> None:
    train_all(bpe)
    trained, judged = calls[0]["texts"], calls[0]["held_out"]
    assert (len(trained), len(judged)) == (2, 1)
    for text, evaluation in [(text, False) for text in trained] + [(text, True) for text in judged]:
        pairs = re.findall(r" (\w+) is (\d{4})", text)
        assert pairs and all(is_for_evaluation(word, code) == evaluation for word, code in pairs)
        assert ("Held out" in text) == evaluation and ("Paragraph" in text or "not known" in text) != evaluation
        assert len(wrap_tokenizer(bpe, 2 * CONTEXT)(text)["input_ids"]) <= CONTEXT


def test_both_kinds_are_trained_on_the_same_texts_which_the_seed_decides(
    calls: list[dict[str, Any]], bpe: Tokenizer
) -> None:
    assert {name: trained.kind for name, trained in train_all(bpe).items()} == {"linear": "linear", "mlp": "mlp"}
    linear, mlp = calls
    assert linear["texts"] == mlp["texts"] and linear["held_out"] == mlp["held_out"]
    assert (linear["hidden_dim"], mlp["hidden_dim"]) == (None, HIDDEN)
    train_all(bpe)
    train_all(bpe, seed=1)
    assert calls[2] == linear and calls[4]["texts"] != linear["texts"] and calls[4]["seed"] == 1
