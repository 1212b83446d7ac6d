"""Rooms and families alike: by name, with their options, and as copies."""

import pytest

from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.families import copies_of, families, make_family, world_named
from keepmap.agents.families.vector import FamilyVectorEnv
from keepmap.errors import InputError

COVERS = ["keepmap.agents.environments.world", "keepmap.agents.families.registered"]


@pytest.mark.parametrize("name", [*environments(), *families()])
def test_a_world_is_found_by_its_name_its_id_its_class_and_itself(name):
    cls = (environments() | families())[name]
    world = world_named(name, horizon=6)
    assert world == world_named(cls.gymnasium_id, horizon=6) == world_named(cls, horizon=6)
    assert world == world_named(cls(), horizon=6)
    assert type(world) is cls and world.horizon == 6 and world.options["horizon"] == 6
    assert world.suffix() and not world_named(name).suffix()
    assert world.name in world.title
    goals = world.drawn_goals(None, 0)
    assert len(goals) == world.usual_tasks and world.goals[world.index(goals[-1])] == goals[-1]
    envs = copies_of(world, goals[:3])
    assert isinstance(envs, RoomVectorEnv if cls in environments().values() else FamilyVectorEnv)
    assert envs.single_observation_space.nvec.tolist() == list(world.observation_sizes)
    assert envs.single_action_space.n == world.n_actions
    assert 0 <= world.most_return(goals[0]) <= world.best_return


def test_a_family_has_as_many_tasks_as_are_asked_for_always_the_same():
    family = make_family("bandit")
    assert len(family.goals) == 2**31 and family.goals[7] == (7,) and family.goals[2:4] == [(2,), (3,)]
    assert family.drawn_goals(50, 3) == family.drawn_goals(50, 3) != family.drawn_goals(50, 4)
    assert len(set(family.drawn_goals(50, 3))) == 50


def test_the_optimum_is_the_mean_over_a_life():
    assert make_family("recall_room").optimum((3,)) == 1 / 8
    assert make_family("recall_room").best_return == 1


def test_the_optimum_of_an_episode_is_apart():
    family, room = make_family("recall_room"), room_named("darkroom")
    assert [family.optimum_in((3,), episode) for episode in (0, 6, 7, 99)] == [0, 0, 1, 1]
    assert room.optimum_in((1, 1), 5) == room.optimum((1, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "bandid"}, 'unknown environment "bandid", did you mean "bandit"'),
        ({"name": "darkrom"}, 'unknown environment "darkrom", did you mean "darkroom"'),
        ({"name": "bandit", "size": 3}, 'unknown option "size" of the family bandit'),
        ({"name": "bandit", "options": {"arm": 3}}, 'unknown option "arm" .*, did you mean "arms"'),
        ({"name": make_family("bandit"), "options": {"arm": 3}}, 'unknown option "arm" .*, did you mean "arms"'),
        ({"name": "darkroom", "options": {"arms": 3}}, "expected no options of darkroom"),
    ],
)
def test_worlds_that_there_are_not(arguments, message):
    with pytest.raises(InputError, match=message):
        world_named(**arguments)


@pytest.mark.parametrize("goal", [(24,), (-1,), (1, 2), ()])
def test_goals_that_are_no_task(goal):
    with pytest.raises(InputError, match="expected `goal` to be the number of a task of recall_room"):
        make_family("recall_room").index(goal)


def test_a_room_splits_all_its_goals():
    with pytest.raises(InputError, match="expected no `tasks` of darkroom, whose goals are all split, got 5"):
        room_named("darkroom").drawn_goals(5, 0)
    with pytest.raises(InputError, match="`tasks`"):
        make_family("recall_room").drawn_goals(25, 0)
