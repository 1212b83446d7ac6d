"""Names of files: what is usual goes without saying, and every difference is in the name."""

import pytest

from keepmap.agents.collection.naming import default_histories, split_suffix
from keepmap.agents.environments import room_named
from keepmap.agents.environments.goals import split_named


@pytest.mark.parametrize(
    ("size", "horizon", "suffix"), [(None, None, ""), (9, 20, ""), (5, None, "-5x5"), (None, 30, "-9x9x30")]
)
def test_sizes(size: int | None, horizon: int | None, suffix: str) -> None:
    assert room_named("darkroom", size, horizon).suffix() == suffix


def test_splits() -> None:
    assert [split_suffix(name) for name in ("guide", "all", "0/9")] == ["", "all", "0of9"]


def test_every_argument_that_is_not_usual_is_in_the_name() -> None:
    room = room_named("darkroom")
    usual, fold = split_named("seed", room.goals), split_named("1/3", room.goals, 2)
    assert default_histories(room, "ppo", 0, usual) == "history_darkroom_ppo_alg-seed0.hdf5"
    assert default_histories(room, "ppo", 3, fold, 0.5) == (
        "history_darkroom_ppo_alg-seed3_1of3_split-seed2_train0.5.hdf5"
    )
