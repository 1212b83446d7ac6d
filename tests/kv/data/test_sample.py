"""The sample data: the same for the same seed, with facts and questions, and no prose in two texts."""

import json
from pathlib import Path

import pytest

from keepmap.errors import InputError
from keepmap.kv.data.sample import sample_texts, write_sample_data


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (
        write_sample_data(tmp_path / f"{name}.jsonl", 2, seed).read_bytes()
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first == again != other
    assert [json.loads(line)["text"] for line in first.decode().splitlines()] == sample_texts(2, 0)
    assert b"\r" not in first


def test_texts_state_facts_and_ask_for_them() -> None:
    for text in sample_texts(3):
        assert 4000 <= len(text) <= 12000
        assert "The code of " in text


def test_texts_share_no_long_line() -> None:
    lines = [{line for line in text.splitlines() if len(line) > 60 and "code" not in line} for text in sample_texts(4)]
    assert all(lines)
    assert sum(map(len, lines)) == len(set.union(*lines))


@pytest.mark.parametrize(
    ("n_samples", "message"),
    [
        (0, "^expected `n_samples` to be an integer of 1 or more, got 0$"),
        (
            10**6,
            r"to be \d+ or less, got 1000000: this Python's documentation fills no more with 4,000 characters each;",
        ),
    ],
)
def test_the_held_out_prose_fills_so_many_samples_and_no_more(n_samples: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_texts(n_samples)


def test_prose_of_any_length_and_wrong_kinds() -> None:
    (short,), (long,) = sample_texts(1, kind="prose"), sample_texts(1, kind="prose", length=40_000)
    assert 8000 <= len(short) < 16_000 and len(long) >= 40_000
    assert len(sample_texts(1, length=8000)[0]) >= 8000 and "The code of " in sample_texts(1, length=8000)[0]
    with pytest.raises(InputError, match='unknown `kind` "prosa", did you mean "prose"'):
        sample_texts(1, kind="prosa")
    with pytest.raises(InputError, match="expected `length` to be an integer of 1,?000 or more, got 10"):
        sample_texts(1, length=10)
    assert sample_texts(2) == sample_texts(2, kind="facts", length=4000)
