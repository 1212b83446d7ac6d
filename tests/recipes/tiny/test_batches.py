"""Batches hold what they claim, depend on (seed, stage, step) alone, and can be learned from what stands before."""

import pytest
import torch
from tokenizers import Tokenizer

from keepmap.kv.data.facts import is_for_evaluation
from keepmap.recipes.tiny.batches import TokenBatch, make_batch
from keepmap.recipes.tiny.recipe import Shares, Stage
from tests.recipes.tiny.documents import DOCUMENTS


def stage(copies: float = 0.0, lists: float = 0.0, prose: float = 0.0, stretch: int = 0, name: str = "all") -> Stage:
    return Stage(
        name=name,
        steps=1,
        batch=8,
        length=256,
        shares=Shares(copies, lists, prose),
        rate=(1e-3, 1e-3),
        facts=4,
        prose_weight=1.0,
        stretch=stretch,
    )


def test_a_batch_depends_on_seed_stage_and_step_alone(bpe: Tokenizer) -> None:
    mixed = stage(0.25, 0.25, 0.5, 100)
    batch, again = (make_batch(0, mixed, 3, bpe, DOCUMENTS) for _ in range(2))
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(batch).items())
    others = [
        make_batch(1, mixed, 3, bpe, DOCUMENTS),
        make_batch(0, mixed, 4, bpe, DOCUMENTS),
        make_batch(0, stage(0.25, 0.25, 0.5, 100, name="other"), 3, bpe, DOCUMENTS),
    ]
    assert not any(torch.equal(batch.ids, other.ids) for other in others)


def test_rows_are_what_the_shares_say(bpe: Tokenizer) -> None:
    batch = make_batch(0, stage(0.25, 0.25, 0.5), 3, bpe, DOCUMENTS)
    assert not (batch.recalled & batch.prose).any() and batch.recalled.any(1).all()
    texts = [bpe.decode(row.tolist()) for row in batch.ids]
    assert [text.startswith("Codes:") for text in texts[2:4]] == [True, True]
    assert all("What is the code of" in text or "Again:" in text for text in texts[4:])
    assert not batch.prose[:2].any() and batch.prose[2:].any(1).all()


def digits(bpe: Tokenizer, batch: TokenBatch, row: int) -> list[str]:
    return [bpe.id_to_token(token) for token in batch.ids[row][batch.recalled[row]].tolist()]


def test_what_is_recalled_are_the_digits_that_are_asked_and_no_pair_is_of_the_evaluation(bpe: Tokenizer) -> None:
    batch = make_batch(0, stage(lists=0.5, prose=0.5), 5, bpe, DOCUMENTS)
    for row in range(8):
        recalled = digits(bpe, batch, row)
        assert recalled and all(token.isdigit() for token in recalled) and len(recalled) % 4 == 0
        text = bpe.decode(batch.ids[row].tolist())
        for first in range(0, len(recalled), 4):
            code = "".join(recalled[first : first + 4])
            word = text[: text.index(f" is {code}")].rsplit(" ", 1)[1]
            assert text.count(f" {word} is {code}") == 2 and not is_for_evaluation(word, code)
            # The digits where a fact is stated are random: nobody is to learn them.
            tokens = [bpe.id_to_token(token) for token in batch.ids[row].tolist()]
            places = [at for at in range(253) if "".join(tokens[at : at + 4]) == code]
            stated, answer = (slice(at, at + 4) for at in (places[0], places[-1]))
            assert batch.recalled[row, answer].all() and not batch.recalled[row, stated].any()
            assert not batch.prose[row, stated].any() and not batch.prose[row, answer].any()


def test_a_copy_follows_from_what_was_seen(bpe: Tokenizer) -> None:
    batch = make_batch(0, stage(copies=1.0), 0, bpe, DOCUMENTS)
    periods = set()
    for ids, recalled in zip(batch.ids.tolist(), batch.recalled.tolist(), strict=True):
        period = recalled.index(True) - 1
        periods.add(period)
        assert 256 // 8 <= period <= 256 // 2 and all(recalled[period + 1 :])
        assert ids[period:] == ids[: 256 - period]
    assert len(periods) > 4, "position alone does not say what to copy"


@pytest.mark.parametrize("stretch", [0, 100])
def test_positions_jump_at_two_places_at_most(bpe: Tokenizer, stretch: int) -> None:
    positions = make_batch(0, stage(copies=1.0, stretch=stretch), 0, bpe, DOCUMENTS).positions
    steps = positions.diff(dim=1)
    assert (positions[:, 0] == 0).all() and (steps >= 1).all()
    assert ((steps > 1).sum(1) <= 2).all() and positions.max() < 256 + max(stretch, 1)
    assert bool((steps > 1).any()) == bool(stretch)
