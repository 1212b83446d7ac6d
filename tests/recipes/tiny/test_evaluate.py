"""What is measured of the embedded model, with models whose answers are known."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from keepmap.kv.data.facts import TokenProbe, is_for_evaluation
from keepmap.language_model import EMBEDDED
from keepmap.recipes.tiny import evaluate
from keepmap.recipes.tiny.evaluate import (
    Recall,
    evaluation_probes,
    measure_recall,
    prose_loss,
    recall_table,
    streaming_mask,
)

VOCABULARY = 300
PROSE = [["abc", "d\N{LATIN SMALL LETTER E WITH ACUTE}f"], ["g"]]


class Copier:
    """Predicts the token that stood behind the last token's latest earlier visible occurrence; else token 0."""

    dtype = torch.float32

    def __call__(self, ids: torch.Tensor, attention_mask: torch.Tensor | None = None, use_cache: bool = True) -> Any:
        n = ids.shape[1]
        visible = torch.ones(n, n, dtype=torch.bool).tril()
        if attention_mask is not None and attention_mask.dim() == 4:
            visible = attention_mask[0, 0] == 0
        logits, tokens, sees = torch.zeros(1, n, VOCABULARY), ids[0].tolist(), visible.tolist()
        for query, token in enumerate(tokens):
            seen = [at for at in range(query) if sees[query][at + 1] and tokens[at] == token]
            logits[0, query, tokens[seen[-1] + 1] if seen else 0] = 9.0
        return SimpleNamespace(logits=logits)


def test_the_streaming_mask() -> None:
    mask = streaming_mask(9, 2, 3, torch.float32)[0, 0]
    for i in range(9):
        for j in range(9):
            assert (mask[i, j] == 0) == (j <= i and (j < 2 or i - j <= 3))


def probe(gap: int) -> TokenProbe:
    """A digit 10 behind the word 5, `gap` tokens, and both again; the word stands at 4, the digit at 5."""
    ids = [1, 2, 3, 4, 5, 10, *range(100, 100 + gap), 5, 10]
    return TokenProbe(tuple(ids), stated=((5,),), answers=((7 + gap,),))


def test_recall_is_the_share_of_digits_that_are_right_with_all_and_with_what_is_recent() -> None:
    recall = measure_recall(Copier(), [probe(9), probe(7)], sinks=2, window=8)
    assert recall == Recall(1.0, 0.0, 1), "the nearer fact is still in the window, and is not counted"
    assert measure_recall(Copier(), [probe(9)], sinks=6, window=8) == Recall(1.0, 1.0, 1), "the fact is among the sinks"
    assert measure_recall(Copier(), [probe(3)], sinks=2, window=8) == Recall(0.0, 0.0, 0)


def test_prose_loss_of_a_model_that_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        evaluate, "held_out_documents", lambda: [["abc", "d\N{LATIN SMALL LETTER E WITH ACUTE}f"], ["g"]]
    )

    def tokenizer(text: str, **options: Any) -> dict[str, Any]:
        assert text == "abc\n\nd\N{LATIN SMALL LETTER E WITH ACUTE}f\n\ng"
        return {
            "input_ids": [ord(letter) for letter in text],
            "offset_mapping": [(at, at + 1) for at in range(len(text))],
        }

    def blind(ids: torch.Tensor, use_cache: bool) -> Any:
        return SimpleNamespace(logits=torch.zeros(1, ids.shape[1], VOCABULARY))

    nats, bits = prose_loss(blind, tokenizer, length=5)
    assert nats == pytest.approx(math.log(VOCABULARY))
    # Of two pieces of five tokens, four each are predicted; one of the eight is two bytes long.
    assert bits == pytest.approx(8 * math.log2(VOCABULARY) / 9)


def test_probes_are_held_out_and_have_the_length_they_claim() -> None:
    reader = AutoTokenizer.from_pretrained(EMBEDDED["tiny"], local_files_only=True)
    probes = evaluation_probes(reader, 512, 4, seed=3)
    assert all(448 <= len(tokens.ids) <= 512 and len(tokens.answers) == 8 for tokens in probes)
    assert probes == evaluation_probes(reader, 512, 4, seed=3) != evaluation_probes(reader, 512, 4, seed=4)
    for tokens in probes:
        for stated, answer in zip(tokens.stated, tokens.answers, strict=True):
            code = reader.decode([tokens.ids[at] for at in answer])
            word = reader.decode([tokens.ids[stated[0] - 3]]).strip()
            assert is_for_evaluation(word, code), (word, code)
            assert answer[0] - stated[-1] > evaluate.WINDOW


def test_the_cards_table_has_a_row_for_each_kind_and_length(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, float]] = []

    def noted(tokenizer: Any, length: int, count: int, seed: int, *, dense: float) -> list[TokenProbe]:
        calls.append((length, count, dense))
        return [probe(130)] * count

    monkeypatch.setattr(evaluate, "evaluation_probes", noted)
    monkeypatch.setattr(evaluate, "measure_recall", lambda model, probes: Recall(1.0, 0.0, len(probes)))
    table = recall_table(Copier(), None, miniature=True)
    assert list(table) == ["prose with sentences, 512 tokens", "prose with lists, 512 tokens"]
    assert calls == [(512, 4, 0.0), (512, 4, 1.0)] and {row.digits for row in table.values()} == {4}
    assert len(recall_table(Copier(), None)) == 6
