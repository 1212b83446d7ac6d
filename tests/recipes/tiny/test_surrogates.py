"""Which texts the surrogates are trained and judged on: nothing that is judged on was trained on."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from keepmap.kv.data.facts import is_for_evaluation
from keepmap.kv.surrogate_training import ScoredPositions
from keepmap.recipes.tiny import surrogates
from keepmap.recipes.tiny.surrogates import CONTEXT, train_surrogates
from keepmap.recipes.tiny.tokenizer import wrap_tokenizer
from tests.recipes.tiny.documents import DOCUMENTS

HELD_OUT = [[f"Held out {k}: something else\nis written here." for k in range(40)]]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What positions are collected of, call by call; the scores are a linear map of the inputs, with noise."""
    calls: list[list[str]] = []
    truth = torch.randn(6, 3, generator=torch.Generator().manual_seed(9))

    def collect(model: Any, tokenizer: Any, texts: Sequence[str], *, seed: int) -> ScoredPositions:
        calls.append(list(texts))
        generator = torch.Generator().manual_seed(len(calls))
        inputs = torch.randn(200, 2, 6, generator=generator)
        noise = torch.randn(200, 2, 3, generator=generator) * torch.tensor([0.1, 0.5, 1.0])
        return ScoredPositions(inputs, inputs @ truth + noise)

    monkeypatch.setattr(surrogates, "collect_positions", collect)
    monkeypatch.setattr(surrogates, "held_out_documents", lambda: HELD_OUT)
    return calls


def test_training_and_judging_share_no_text_and_no_pair(texts: list[list[str]], bpe: Tokenizer) -> None:
    tokenizer = wrap_tokenizer(bpe, 2 * CONTEXT)
    train_surrogates(None, tokenizer, DOCUMENTS, 0, miniature=True)
    trained, judged = texts
    assert (len(trained), len(judged)) == (2, 1)
    for text, evaluation in [(text, False) for text in trained] + [(text, True) for text in judged]:
        pairs = re.findall(r" (\w+) is (\d{4})", text)
        assert pairs and all(is_for_evaluation(word, code) == evaluation for word, code in pairs)
        assert ("Held out" in text) == evaluation and ("Paragraph" in text or "not known" in text) != evaluation
        assert len(tokenizer(text)["input_ids"]) <= CONTEXT


def test_both_kinds_are_trained_and_judged_by_the_held_out(texts: list[list[str]], bpe: Tokenizer) -> None:
    tokenizer = wrap_tokenizer(bpe, 2 * CONTEXT)
    trained, explained = train_surrogates(None, tokenizer, DOCUMENTS, 0, miniature=True)
    assert {kind: surrogate.config.kind for kind, surrogate in trained.items()} == {"linear": "linear", "mlp": "mlp"}
    for mean, least, most in explained.values():
        assert least < mean < most < 1.0
    assert explained["linear"][1] > 0.6
    train_surrogates(None, tokenizer, DOCUMENTS, 0, miniature=True)
    train_surrogates(None, tokenizer, DOCUMENTS, 1, miniature=True)
    assert texts[:2] == texts[2:4] and texts[0] != texts[4]
