"""The three modes by their names, and the combinations that are none."""

from dataclasses import astuple

import pytest

from keepmap.errors import InputError
from keepmap.kv.modes import Mode, as_mode


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ((None, 1, None), ("decode", 1, None)),
        ((None, 7, None), ("chunked", 7, None)),
        (("decode", 1, None), ("decode", 1, None)),
        (("chunked", 10**30, None), ("chunked", 2**60, None)),
        (("once", 1, 30), ("once", 1, 30)),
        (("once", 1, None), ("once", 1, None)),
    ],
    ids=str,
)
def test_a_mode_is_what_its_name_says(given: tuple, mode: tuple) -> None:
    assert astuple(as_mode(*given)) == (*mode, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("chunked", 1, None), 'a `chunk_size` of 2 or more in mode "chunked"'),
        (("decode", 7, None), 'no `chunk_size` in mode "decode", got 7; mode "chunked" takes one'),
        (("once", 7, 30), 'no `chunk_size` in mode "once"'),
        ((None, 1, 30), 'no `context_length` in mode "decode", got 30; mode "once" takes one'),
        (("chunked", 7, 30), 'no `context_length` in mode "chunked"'),
        (("onec", 1, None), "unknown `mode` 'onec', did you mean \"once\""),
        ((3, 1, None), "unknown `mode` 3, expected one of decode, chunked, once"),
        (("once", 1, 0), "`context_length` to be an integer of 1 or more"),
        (("once", 1, 0.5), "`context_length` to be an integer"),
        ((None, 0, None), "`chunk_size` to be an integer of 1 or more"),
    ],
    ids=str,
)
def test_a_combination_that_is_none_is_one_line(given: tuple, message: str) -> None:
    with pytest.raises(InputError) as raised:
        as_mode(*given)
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("share", "n", "context"), [(0.5, 9, 4), (0.5, 2, 1), (0.01, 9, 1), (0.99, 9, 8), (5, 9, 5), (None, 9, None)]
)
def test_a_share_leaves_a_token_on_either_side(share: float | int | None, n: int, context: int | None) -> None:
    assert Mode("once", context_length=share).context_of(n) == context


@pytest.mark.parametrize(
    ("mode", "line"),
    [
        (Mode(), "Chunk size: 1 (exact decoding)"),
        (Mode("chunked", 128), "Chunk size: 128"),
        (Mode("once", context_length=512), "Mode: once (512 tokens read densely, one cut after it)"),
        (Mode("once", context_length=0.25), "Mode: once (25% of each text read densely, one cut after it)"),
    ],
    ids=str,
)
def test_a_mode_in_a_line(mode: Mode, line: str) -> None:
    assert mode.line == line


@pytest.mark.parametrize(("share", "taken"), [(0.5, True), (1.0, False), (0.0, False), (float("nan"), False)])
def test_a_share_is_taken_where_there_are_texts(share: float, taken: bool) -> None:
    if taken:
        assert as_mode("once", 1, share, shares=True) == Mode("once", 1, share)
        return
    with pytest.raises(InputError, match="`context_length` to be a number"):
        as_mode("once", 1, share, shares=True)


def test_an_interval_is_one_of_decoding_and_the_end_of_a_text_ends_none() -> None:
    mode = as_mode(None, interval=128)
    assert (mode.name, mode.every, mode.ends, mode.line) == (
        "decode",
        128,
        False,
        "Interval: 128 queries from decision to decision",
    )
    assert as_mode(None, 7).every == 7 and as_mode(None, 7).ends
    for given in (("chunked", 7, None, 2), ("once", 1, None, 2), (None, 1, None, 0)):
        with pytest.raises(InputError, match="`interval`"):
            as_mode(*given)
