"""Learners of families: they learn, they see no task, and what they record is what the family does."""

from dataclasses import fields

import numpy as np
import pytest

import keepmap
from keepmap.agents.collection.dataset import Streams, stored_type
from keepmap.agents.collection.source import make_source, sources
from keepmap.agents.environments.goals import split_named
from keepmap.agents.families import copies_of, make_family, world_named
from keepmap.agents.families.worlds.recall_room import CLAIM
from keepmap.errors import InputError

COVERS = [
    "keepmap.agents.collection.lives",
    "keepmap.agents.collection.sources.keeper",
    "keepmap.agents.collection.sources.rmax",
    "keepmap.agents.collection.sources.seeker",
    "keepmap.agents.collection.sources.ucb",
]
SOURCE_OF = {
    "bandit": "ucb",
    "linear_bandit": "ucb",
    "moving_goal": "seeker",
    "random_mdp": "rmax",
    "recall_room": "keeper",
}


def learned(family, tasks, learners=2, seed=0, **options) -> Streams:
    source = make_source(SOURCE_OF[family.name], options)
    return source.learn(family, [(task,) for task in tasks], learners, family.episodes, seed)


def shares(family, tasks, streams):
    """[E], of what lies between random and the best."""
    best, random = (kind(tasks).mean(0) for kind in (family.optimal_return, family.random_return))
    earned = streams.rewards.reshape(family.episodes, family.horizon, -1).sum(1).mean(1)
    return (earned - random) / np.maximum(best - random, 1e-9)


@pytest.mark.parametrize(
    ("name", "options", "start", "end"),
    [
        ("bandit", {}, 0.65, 0.9),
        ("linear_bandit", {}, 0.6, 0.8),
        ("moving_goal", {"size": 7}, 0.5, 0.99),
        ("random_mdp", {"states": 10, "actions": 4}, 0.3, 0.88),
        ("recall_room", {"size": 7}, 0.0, 1.0),
    ],
)
def test_a_learner_comes_near_the_optimum_within_a_life(name, options, start, end):
    family = make_family(name, **options)
    tasks = list(range(0, min(family.n_tasks, 480), max(1, min(family.n_tasks, 480) // 48)))
    share = shares(family, tasks, learned(family, tasks, 4))
    assert share[0] <= start and share[-1:].mean() >= end


def test_a_moved_goal_is_lost_and_found_again():
    family = make_family("moving_goal", size=5)
    tasks = list(range(0, 600, 30))
    share = shares(family, tasks, learned(family, tasks))
    assert share[9] > 0.99 and share[10] < 0.7 and share[19] > 0.99


@pytest.mark.parametrize("name", ["moving_goal", "recall_room"])
def test_what_is_recorded_is_what_the_family_does(name):
    family, tasks = make_family(name), [3, 20]
    streams = learned(family, tasks)
    envs = copies_of(family, [(task,) for task in tasks for _ in range(2)])
    seen, _ = envs.reset(seed=0)
    for row in range(len(streams.actions)):
        np.testing.assert_array_equal(streams.states[row], seen)
        seen, rewards, _, ended, infos = envs.step(streams.actions[row].astype(np.int64))
        np.testing.assert_array_equal(streams.rewards[row], rewards)
        np.testing.assert_array_equal(streams.dones[row], ended)
        np.testing.assert_array_equal(streams.next_states[row], infos.get("final_obs", seen))


def test_a_random_world_leads_where_it_says_it_does():
    family = make_family("random_mdp")
    streams, of = learned(family, [5], 4), family.arrays(np.array([5]))
    after = streams.next_states[..., 0]
    led = of["successors"][0, streams.states[..., 0], streams.actions]
    assert ((led[..., 0] == after) | (led[..., 1] == after)).all()
    differ = led[..., 0] != led[..., 1]
    assert 0.7 < (led[..., 0] == after)[differ].mean() < 0.9


@pytest.mark.parametrize("name", sorted(SOURCE_OF))
def test_a_tasks_learners_depend_on_no_other_task(name):
    family = make_family(name)
    together, alone = learned(family, [3, 8, 1], 3), learned(family, [8], 3)
    for entry in fields(Streams):
        np.testing.assert_array_equal(getattr(together, entry.name)[:, 3:6], getattr(alone, entry.name))


def test_nothing_but_the_first_observation_tells_which_cell_is_to_be_recalled():
    family = make_family("recall_room", size=7)
    streams = learned(family, range(family.n_tasks))
    last = family.horizon * (family.episodes - 1)
    assert (streams.actions[:last] == streams.actions[:last, :1]).all()
    assert not (streams.actions[:last] == CLAIM).any() and (streams.states[1:, :, 2:] == 0).all()


def test_what_never_paid_is_tried_before_it_is_believed():
    family = make_family("bandit", arms=7)
    streams = learned(family, [4], 5)
    # An arm that has just failed for the first time is not the next one.
    failed = streams.rewards[0] == 0
    assert failed.any() and (streams.actions[0] != streams.actions[1])[failed].all()


@pytest.mark.parametrize(
    ("source", "option", "value"),
    [("ucb", "bonus", -1), ("rmax", "discount", 1), ("rmax", "trust", -1), ("rmax", "optimism", float("inf"))],
)
def test_options_out_of_range(source, option, value):
    with pytest.raises(InputError, match=f"expected `{option}` of {source} to be a number"):
        make_source(source, {option: value})


@pytest.mark.parametrize("name", sources())
def test_a_source_says_where_it_cannot_learn(name):
    for world in map(world_named, [*SOURCE_OF, "darkroom"]):
        if isinstance(world, sources()[name].suits):
            make_source(name).check_world(world)
            continue
        with pytest.raises(InputError, match=f"one that learns in {world.name}: .*; got {name}"):
            make_source(name).check_world(world)


def test_a_file_of_a_familys_histories_says_whose_they_are(tmp_path):
    path = tmp_path / "bandit.hdf5"
    histories = keepmap.collect(
        make_family("bandit", arms=300, episodes=3), "ucb", learners=2, tasks=12, split_seed=4, out=path
    )
    assert histories == keepmap.open_histories(path)
    assert histories.room == make_family("bandit", arms=300, episodes=3) and histories.n_steps == 30
    split = split_named("guide", histories.room.drawn_goals(12, 4), 4)
    assert histories.goals == tuple(sorted(split.train)) and len(split.held_out) == 1
    assert stored_type(histories.room) == np.int32 and histories[0].states.shape == (30, 2, 1)
    assert max(streams.actions.max() for streams in histories) > 255
    with pytest.raises(InputError, match="at most 3, a life in bandit, got 4"):
        keepmap.collect(histories.room, "ucb", episodes=4, out=path)
    with pytest.raises(InputError, match="expected no `tasks` of darkroom"):
        keepmap.collect("darkroom", tasks=5, out=path)
