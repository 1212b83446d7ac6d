"""Every family of tasks: its returns are those of rollouts, its copies are alike, and Gymnasium finds nothing wrong."""

import functools
import warnings
from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from keepmap.agents.families import families, make_family
from keepmap.agents.families.family import Family
from keepmap.agents.families.single import FamilyEnv
from keepmap.agents.families.vector import FamilyVectorEnv
from keepmap.errors import InputError
from tests.reference.families import mdp_ways, recall_ways, returns_of, room_ways

COVERS = (
    "keepmap.agents.families.grid",
    "keepmap.agents.families.single",
    "keepmap.agents.families.vector",
    "keepmap.agents.families.worlds.*",
)

SMALL: dict[str, Family] = {
    "bandit": make_family("bandit", episodes=3),
    "linear_bandit": make_family("linear_bandit", episodes=3),
    "moving_goal": make_family("moving_goal", size=4, horizon=6, episodes=4),
    "random_mdp": make_family("random_mdp", states=10, actions=4, horizon=8, episodes=2),
    "recall_room": make_family("recall_room", size=3, horizon=5, episodes=3),
}
TASKS, COPIES = (0, 5), 1500


def test_every_family_is_tested() -> None:
    assert SMALL.keys() == families().keys()


@functools.cache
def expert(name: str, task: int) -> tuple[Callable[..., int], list[float], list[float]]:
    """(observation, episode, step) -> the best action, and both returns of each episode, from the obvious form."""
    family = SMALL[name]
    of = {key: value[0] for key, value in family.arrays(np.array([task])).items()}
    last = family.episodes - 1
    if name in ("bandit", "linear_bandit"):
        chances = of["chances"].tolist()
        best = chances.index(max(chances))
        returns = [[family.horizon * value] * family.episodes for value in (max(chances), sum(chances) / len(chances))]
        return lambda *_: best, *returns
    if name == "random_mdp":
        planned = [returns_of(mdp_ways(of["successors"].tolist(), of["rewards"].tolist()), 0, family.horizon)] * 2
        state = lambda seen: seen[0]  # noqa: E731
    elif name == "moving_goal":
        goals = [tuple(goal) for goal in of["goals"].tolist()]
        both = [returns_of(room_ways(4, goal), (2, 2), family.horizon) for goal in goals]
        planned, state = [both[0], both[0], both[1], both[1]], tuple
    else:
        (best, random, choose) = returns_of(recall_ways(3, tuple(of["goals"].tolist())), (1, 1, 0), family.horizon)
        planned = [(0.0, 0.0, lambda *_: 0)] * last + [(best, random, choose)]
        state = lambda seen: (*seen[:2], 0)  # noqa: E731
    choices = [choose for _, _, choose in planned]

    def act(seen: tuple[int, ...], episode: int, step: int) -> int:
        return choices[episode](state(seen), family.horizon - step)

    return act, [best for best, _, _ in planned], [random for _, random, _ in planned]


def lived(name: str, by_random: bool) -> np.ndarray:
    """[tasks, copies, episodes]: returns of lives."""
    family = SMALL[name]
    tasks = np.repeat(TASKS, COPIES).tolist()
    envs, draws = FamilyVectorEnv(family, len(tasks), tasks), np.random.default_rng(1)
    seen, _ = envs.reset(seed=0)
    returns = np.zeros((len(tasks), family.episodes))
    for episode in range(family.episodes):
        assert envs.episode == episode
        for step in range(family.horizon):
            if by_random:
                actions = draws.integers(family.n_actions, size=len(tasks))
            else:
                rows, place = np.unique(np.column_stack([tasks, seen]), axis=0, return_inverse=True)
                best = [expert(name, row[0])[0](tuple(row[1:]), episode, step) for row in rows.tolist()]
                actions = np.array(best)[place.reshape(-1)]
            seen, rewards, terminated, truncated, infos = envs.step(actions)
            returns[:, episode] += rewards
            assert not terminated.any() and truncated.all() == truncated.any() == (step == family.horizon - 1)
            assert ("final_obs" in infos) == truncated.all()
    return returns.reshape(len(TASKS), COPIES, family.episodes)


@pytest.mark.parametrize("by_random", [False, True])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_returns_are_those_of_the_obvious_form_and_of_rollouts(name: str, by_random: bool) -> None:
    family = SMALL[name]
    of_tasks = family.random_return if by_random else family.optimal_return
    expected = of_tasks(list(TASKS))
    slow = [expert(name, task)[2 if by_random else 1] for task in TASKS]
    np.testing.assert_allclose(expected, slow)
    returns = lived(name, by_random)
    error = returns.std(1, ddof=1) / np.sqrt(COPIES)
    assert (np.abs(returns.mean(1) - expected) <= 4.5 * error + 1e-9).all()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_knowing_the_task_pays_and_tasks_differ(name: str) -> None:
    family = make_family(name)
    tasks = family.split(30 if family.n_tasks > 30 else family.n_tasks, 0).train
    best, random = family.optimal_return(list(tasks)), family.random_return(list(tasks))
    assert best.shape == random.shape == (len(tasks), family.episodes)
    assert (best >= random).all() and best.sum() > 1.5 * random.sum()
    arrays = family.arrays(np.array(tasks))
    rows = {tuple(np.concatenate([part[row].ravel() for part in arrays.values()])) for row in range(len(tasks))}
    assert len(rows) == len(tasks)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_copies_are_as_many_single_environments(name: str) -> None:
    family = SMALL[name]
    n, draws = 3, np.random.default_rng(0)
    envs = FamilyVectorEnv(family, n)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP and envs.tasks is envs.episode is None
    singles = [FamilyEnv(family) for _ in range(n)]
    seen, _ = envs.reset(seed=4)
    alone = [env.reset(seed=4 + copy)[0] for copy, env in enumerate(singles)]
    assert envs.tasks == tuple(env.task for env in singles)
    for _ in range(family.horizon * family.episodes + 2):
        np.testing.assert_array_equal(seen, alone)
        assert all(env.observation_space.contains(row) for env, row in zip(singles, alone, strict=True))
        actions = draws.integers(family.n_actions, size=n)
        seen, rewards, _, truncated, infos = envs.step(actions)
        steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        assert rewards.tolist() == [earned for _, earned, _, _, _ in steps]
        assert truncated.tolist() == [over for _, _, _, over, _ in steps]
        alone = [observed for observed, *_ in steps]
        if truncated.any():
            np.testing.assert_array_equal(infos["final_obs"], alone)
            alone = [env.reset()[0] for env in singles]
    seen[:] = 99
    assert not (envs.step(actions)[0] == 99).any(), "what is seen is a copy"
    assert envs.reset()[0].shape == seen.shape and envs.episode == 1


@pytest.mark.parametrize("name", sorted(SMALL))
def test_gymnasium_makes_it_and_finds_nothing_wrong(name: str) -> None:
    env_id = families()[name].gymnasium_id
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(env_id, render_mode="rgb_array").unwrapped)
    envs = gymnasium.make_vec(env_id, num_envs=2, tasks=[1, 0])
    assert isinstance(envs, FamilyVectorEnv) and envs.tasks == (1, 0)
    assert gymnasium.make_vec(env_id, num_envs=2, task=1).unwrapped.tasks == (1, 1)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="one of `task`, of all copies, and `tasks`"):
        gymnasium.make_vec(env_id, num_envs=2, tasks=[1, 0], task=1)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_picture_shows_what_happens(name: str) -> None:
    env = FamilyEnv(SMALL[name], 2, "rgb_array")
    with pytest.raises(InputError, match="render was called before reset"):
        env.render()
    env.reset(seed=0)
    pictures = {env.render().tobytes()}  # type: ignore[union-attr]
    for action in range(env.family.n_actions):
        env.step(action)
        picture = env.render()
        assert picture is not None and picture.dtype == np.uint8 and picture.shape[2] == 3
        pictures.add(picture.tobytes())
    assert len(pictures) > 1
    assert FamilyEnv(SMALL[name], 2).render() is None


def test_a_goal_moves_in_mid_life_and_pays_where_it_is() -> None:
    family = make_family("moving_goal", size=3, horizon=2, episodes=4)
    envs = FamilyVectorEnv(family, 1, [4 * 8 + 1])  # the middle, then (0, 1)
    envs.reset(seed=0)
    paid = [envs.step(np.array([4]))[1][0] for _ in range(8)]
    assert paid == [1, 1, 1, 1, 0, 0, 0, 0]
    envs.reset(seed=0)
    assert [envs.step(np.array([1]))[1][0] for _ in range(6)][4:] == [1, 1]


def test_a_cue_is_shown_once_and_one_claim_is_heard() -> None:
    family = make_family("recall_room", size=3, horizon=3, episodes=3)
    envs = FamilyVectorEnv(family, 3, [0, 1, 7])  # (0, 0), (0, 1), (2, 2)
    seen, _ = envs.reset(seed=0)
    assert seen.tolist() == [[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 3, 3]]
    moves = [[1, 1, 0], [3, 4, 2], [4, 4, 4]]  # to the goal and a claim; the second walks and claims twice
    for episode in range(3):
        for step, actions in enumerate(moves):
            seen, rewards, *_ = envs.step(np.array(actions))
            assert not seen[:, 2:].any() or (episode == 2 and step == 2), "never again in this life"
            at_the_end = [1.0, 0.0, 1.0] if step == 2 else [0.0, 1.0, 0.0] if step == 1 else [0.0] * 3
            assert rewards.tolist() == (at_the_end if episode == 2 else [0.0] * 3)
    assert seen[:, 2:].any(), "a new life shows it again"


@pytest.mark.parametrize("actions", [[0], [0, 5], [0, -1], [0.0, 1.0], None])
def test_actions_that_there_are_not(actions: object) -> None:
    envs = FamilyVectorEnv(SMALL["bandit"], 2)
    with pytest.raises(InputError, match="step was called before reset"):
        envs.step(np.array([0, 0]))
    envs.reset()
    with pytest.raises(InputError, match="expected `actions` to be 2 numbers from 0 to 4, got"):
        envs.step(np.array(actions))


@pytest.mark.parametrize("action", [5, -1, 1.5, None])
def test_one_action_that_there_is_not(action: object) -> None:
    env = FamilyEnv(SMALL["bandit"])
    with pytest.raises(InputError, match="step was called before reset"):
        env.step(0)
    env.reset()
    with pytest.raises(InputError, match="expected `action` to be 0 to 4, got"):
        env.step(action)


def test_copies_that_cannot_be() -> None:
    family = SMALL["bandit"]
    for arguments, message in (
        ((0,), "`num_envs` to be 1 copy"),
        ((2, [1]), "`tasks` to be one for each of 2 copies of a family, got 1"),
        ((1, [-1]), "`tasks` to be numbers from 0"),
    ):
        with pytest.raises(InputError, match=message):
            FamilyVectorEnv(family, *arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`seed` to be one for each of 2 copies of a family, got 1"):
        FamilyVectorEnv(family, 2).reset(seed=[1])
    with pytest.raises(InputError, match='`render_mode` to be "rgb_array" or None, got'):
        FamilyEnv(family, render_mode="human")
