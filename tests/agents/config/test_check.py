"""What goes together in a configuration; every refusal is in test_keys.py."""

from dataclasses import fields

import pytest

from keepmap.agents.collection.source import sources
from keepmap.agents.config.check import SOURCE_KEYS
from keepmap.agents.environments import environments, room_named


@pytest.mark.parametrize("name", environments())
def test_no_return_is_above_the_most_return(name):
    for horizon in (1, 3, 8, 60):
        room = room_named(name, 3, horizon)
        returns = [room.optimum(goal) for goal in room.goals]
        assert max(returns) <= room.best_return <= horizon
        assert not room.every_step or max(returns) == room.best_return


def test_the_keys_of_the_sources_are_options_of_theirs():
    for source in sources().values():
        options = {option.name for option in fields(source)}
        assert {option for option in source.config_keys.values() if option} <= options
        assert {*source.config_keys} <= {*SOURCE_KEYS}
    assert {key for source in sources().values() for key in source.config_keys} == {*SOURCE_KEYS}


def test_a_room_of_single_rewards_returns_one_for_each_target():
    rooms = [room_named(name) for name in ("darkroom_hard", "dark_key_to_door", "darkroom", "darkroom_permuted")]
    assert [room.best_return for room in rooms] == [1, 2, 20, 35]
