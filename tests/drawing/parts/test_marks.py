"""How positions are named, where episodes start, and what was rewarded."""

import pytest

from keepmap.drawing.parts.marks import Marks, layer_index, name_of, positions_of, shown
from keepmap.errors import InputError
from tests.drawing.profiles import marked, profile_of


def test_every_so_many_episodes_are_counted_from_the_first_whole_one() -> None:
    profile = marked(profile_of(n=400, heads=1), length=4, offset=0)
    marks = Marks.of(profile, 450.0, "0.5")
    assert marks.every == 2 and marks.starts[:3].tolist() == [8, 16, 24]


def test_limits_of_tokens() -> None:
    assert positions_of(profile_of(n=40, heads=1, labels=("a",) * 40), most=5).tokens
    assert not positions_of(profile_of(n=41, heads=1, labels=("a",) * 41), most=5).tokens
    assert shown("x" * 14) == "x" * 14 and shown("x" * 15) == "x" * 13 + "…"


def test_a_position_is_named_by_its_number_and_an_agents_by_its_step_too() -> None:
    assert name_of(profile_of(n=20, heads=1), 9) == "9"
    assert name_of(marked(profile_of(n=20, heads=1)), 9) == "9, (episode, step) (1, 19)"


def test_the_last_layer_is_meant_where_none_is_named() -> None:
    profile = profile_of(layers=3)
    assert layer_index(profile, None) == 2 and layer_index(profile, 1) == 1
    with pytest.raises(InputError, match="layer=3 is not in the profile, which has layers 0, 1, 2; use one of those"):
        layer_index(profile, 3)


def test_without_landmarks_there_are_no_marks() -> None:
    marks = Marks.of(profile_of(n=20), 450.0, "0.5")
    assert not len(marks.starts) and not len(marks.rewarded) and not marks.legend


@pytest.mark.parametrize(
    ("text", "label"), [("", "''"), (" a ", "\N{OPEN BOX}a\N{OPEN BOX}"), ("a\nb", "a\\nb"), ("  ", "\N{OPEN BOX}" * 2)]
)
def test_tokens_are_shown_as_they_can_be_read(text: str, label: str) -> None:
    assert shown(text) == label
