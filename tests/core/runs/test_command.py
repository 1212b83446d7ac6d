"""The command that goes on is what was typed, without what would begin anew."""

from keepmap.core.runs.command import command, typing


def test_words_hold_inside_and_overwrite_is_none_of_them() -> None:
    assert command() == ()
    with typing(["keepmap", "compare", "--overwrite", "--seed", "1"]):
        assert command() == ("keepmap", "compare", "--seed", "1")
    assert command() == ()
