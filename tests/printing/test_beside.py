"""Two texts beside each other: columns that fit, and a mark before the first letter that differs."""

from hypothesis import given
from hypothesis import strategies as st

from keepmap.printing.beside import MARK, beside

TITLES = ("ours", "theirs")


def test_the_mark_stands_before_the_first_letter_that_differs() -> None:
    lines = beside(TITLES, ("the code is there", "the code is the river"), 60)
    assert lines[0] == "ours                 | theirs" and set(lines[1]) == {"-"}
    assert lines[2] == f"the code is the{MARK}re | the code is the{MARK} river"
    assert beside(TITLES, ("ae\u0301", "ae\u0300"), 40)[2] == f"a{MARK}e\u0301 | a{MARK}e\u0300", "with its accent"


def test_the_same_texts_have_no_mark_and_the_longer_has_it_at_its_end() -> None:
    assert MARK not in "".join(beside(TITLES, ("same", "same"), 40))
    assert beside(TITLES, ("a b", "a b c"), 40)[2] == f"a b{MARK} | a b{MARK} c"
    assert beside(TITLES, ("", "a"), 40)[2] == f"{MARK}  | {MARK}a"


def test_lines_of_a_text_stay_lines_and_what_a_terminal_obeys_is_escaped() -> None:
    lines = beside(TITLES, ("one\n\ntwo", "one\n\n\x1b[2Jtwo"), 40)
    assert lines[2:] == [r"one    | one", "       |", rf"{MARK}two | {MARK}\x1b[2Jtwo"]


@given(st.text("ab \n", max_size=60), st.text("ab \n", max_size=60), st.integers(20, 90))
def test_both_are_whole_and_fit(left: str, right: str, width: int) -> None:
    lines = beside(TITLES, (left, right), width)
    assert max(map(len, lines)) <= width
    at = lines[0].index(" | ")
    columns = "".join(line[:at] for line in lines[2:]), "".join(line[at + 2 :] for line in lines[2:])
    for column, text in zip(columns, (left, right), strict=True):
        assert "".join(column.split()).replace(MARK, "") == "".join(text.split())
        assert (MARK in column.replace(" ", "")) == (left != right)
