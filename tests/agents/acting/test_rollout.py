"""Acting: the cache equals re-running the window, also after it slides; any vector of environments can be played."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from keepmap.agents.acting.memory import Step
from keepmap.agents.acting.rollout import Player, attended, decide, play
from keepmap.agents.compressor import compressors, make_compressor
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.environments.rooms.dark_room import DarkRoom
from keepmap.agents.environments.single import RoomEnv
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.history import shorten
from keepmap.agents.transformer import DecisionShape, DecisionTransformer
from keepmap.errors import ImpossibleResultError, InputError
from tests.agents.acting.steps import step
from tests.forked import python

ROOM = DarkRoom(5, 6)
SHAPE = DecisionShape(observation_sizes=(5, 5), n_actions=5, n_embd=16, n_layer=2, n_head=2, n_inner=32)


@pytest.fixture(scope="module", params=[False, True], ids=["", "dones"])
def model(request: pytest.FixtureRequest) -> DecisionTransformer:
    torch.manual_seed(3)
    return DecisionTransformer(replace(SHAPE, dones=request.param)).eval()


@pytest.mark.parametrize(("size", "slide"), [(8, 1), (8, 3), (8, 8), (1, 1), (100, 10)])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_cache_equals_running_the_whole_window_again(
    model: DecisionTransformer, size: int, slide: int, gaps: bool
) -> None:
    draw = torch.Generator().manual_seed(size)
    player = Player(model, 3, size, slide)
    lengths = []
    with torch.inference_mode():
        for number in range(30):
            states = torch.randint(0, 5, (3, 2), generator=draw)
            fast = player.logits(states)
            history = player.window.history()
            slow = decide(model, history, states, player.window.times_now, see=lambda weights: None)
            assert (fast - slow).abs().max() < 1e-5
            lengths.append(history.valid.shape[1])
            valid = torch.tensor([number % 4 != row for row in range(3)]) if gaps else None
            player.add(step(draw, 3, valid))
    assert max(lengths) == min(size, 29)
    assert lengths[: size + 1] == list(range(min(size, 29) + 1))[: len(lengths)]


@pytest.mark.parametrize("name", sorted(compressors()))
def test_a_compressed_history_is_all_that_the_agent_sees(model: DecisionTransformer, name: str) -> None:
    draw = torch.Generator().manual_seed(1)
    compressor = make_compressor(name, {"max_keep" if name == "threshold" else _budget(name): 3})
    player = Player(model, 2, 12, 3, compressor)
    with torch.inference_mode():
        for _ in range(20):
            states = torch.randint(0, 5, (2, 2), generator=draw)
            fast = player.logits(states)
            history = player.window.history()
            if compressor.needs_attention:
                attention = attended(model, history, states)
                history = player.window.history(attention)
            kept = shorten(history, compressor.select(history.at(states)))
            assert kept.valid.sum(1).max() <= 3
            slow = decide(model, kept, states, player.window.times_now)
            assert (fast - slow).abs().max() < 1e-4
            player.add(step(draw, 2))


@pytest.mark.parametrize("name", sorted(name for name, known in compressors().items() if known.remembers))
def test_one_that_remembers_acts_by_what_it_chooses_of_the_whole_life(model: DecisionTransformer, name: str) -> None:
    """Forty steps, of which a window of twelve has long forgotten the first."""
    draw, compressor = torch.Generator().manual_seed(3), make_compressor(name, {"target_length": 5})
    player, life = Player(model, 3, 12, 3, compressor), Player(model, 3, 40, 1)
    oldest = []
    with torch.inference_mode():
        for number in range(40):
            states = torch.randint(0, 5, (3, 2), generator=draw)
            fast, whole = player.logits(states), life.window.history()
            kept = shorten(whole, compressor.select(whole))
            assert (fast - decide(model, kept, states, life.window.times_now)).abs().max() < 1e-4
            assert player.window.history().valid.sum(1).max() <= 5
            oldest.append(
                int(player.window.times_now.min() - player.window.history().times[:, :1].min()) if number else 0
            )
            came = step(draw, 3, torch.tensor([number % 4 != row for row in range(3)]))
            player.add(came)
            life.add(came)
    assert oldest[-1] > 20


def test_attention_that_remembers_looks_at_what_is_held(model: DecisionTransformer) -> None:
    @dataclass(frozen=True)
    class Remembering(AttentionBasedCompressor):
        remembers: ClassVar[bool] = True

    draw, compressor = torch.Generator().manual_seed(4), Remembering(4)
    player, held = Player(model, 2, 6, 3, compressor), None
    with torch.inference_mode():
        for _ in range(12):
            states = torch.randint(0, 5, (2, 2), generator=draw)
            before = player.window.history()
            player.logits(states)
            attention = attended(model, before, states)
            held = shorten(before, compressor.select(replace(before, attention=attention)))
            assert torch.equal(player.window.history().times[:, : held.times.shape[1]], held.times)
            player.add(step(draw, 2))
    assert held is not None and held.valid.shape[1] == 4


def _budget(name: str) -> str:
    return "keep_recent" if name == "recency" else "target_length"


def test_the_same_seed_gives_the_same_returns_and_another_one_others(model: DecisionTransformer) -> None:
    envs = RoomVectorEnv(ROOM, 6, [(2, 2)] * 6)

    def played(seed: int) -> Any:
        return play(model, envs, 8, size=12, slide=6, seed=seed)

    assert played(0).shape == (6, 8)
    assert np.array_equal(played(0), played(0))
    assert not np.array_equal(played(0), played(1))


def test_gymnasiums_own_vectors_are_played_in_every_way_to_reset(model: DecisionTransformer) -> None:
    """The transitions are the same ones, so the returns are those of our own vector."""
    goals = [(2, 2), (0, 4), (2, 3)]
    ours = play(model, RoomVectorEnv(ROOM, 3, goals), 5, size=12, slide=6)
    for mode in AutoresetMode:
        makers = [
            lambda goal=goal: gymnasium.make("keepmap/DarkRoom-9x9-v0", goal=goal, size=5, horizon=6) for goal in goals
        ]
        envs = SyncVectorEnv(makers, autoreset_mode=mode)
        returns = play(model, envs, 5, size=12, slide=6)
        envs.close()
        assert returns.shape == (3, 5)
        assert np.array_equal(returns, ours), mode


class Counted(gymnasium.Env[Any, Any]):
    """Rewards each step, and ends after as many as its number says: episodes of different lengths."""

    def __init__(self, length: int) -> None:
        self.observation_space, self.action_space = MultiDiscrete([5, 5]), Discrete(5)
        self.length, self.steps = length, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.array([0, 0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.array([4, 4]), 1.0, self.steps >= self.length, False, {}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_episodes_of_different_lengths_are_counted_each_by_itself(
    model: DecisionTransformer, mode: AutoresetMode
) -> None:
    lengths = [2, 5, 3]
    envs = SyncVectorEnv([lambda length=length: Counted(length) for length in lengths], autoreset_mode=mode)
    assert play(model, envs, 4, size=10, slide=2).tolist() == [[length] * 4 for length in map(float, lengths)]


def test_the_last_observation_of_an_episode_is_remembered_not_the_next_first_one(model: DecisionTransformer) -> None:
    seen: list[list[int]] = []

    class Noting(Player):
        def add(self, step: Step) -> None:
            seen.extend(step.next_states[step.valid].tolist())
            super().add(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keepmap.agents.acting.rollout.Player", Noting)
        for mode in AutoresetMode:
            play(model, SyncVectorEnv([lambda: Counted(3)], autoreset_mode=mode), 3, size=10, slide=2)
    assert seen
    assert all(state == [4, 4] for state in seen)


@pytest.mark.parametrize(
    ("observed", "acted"),
    [
        (Box(0, 4, (2,), np.int32), Discrete(5)),
        (Box(0, 4, (2,), np.uint8), MultiDiscrete([5])),
        (MultiDiscrete([5, 5]), Box(0, 4, (1,), np.int64)),
    ],
    ids=str,
)
def test_spaces_of_the_same_numbers_are_played_alike(model: DecisionTransformer, observed: Any, acted: Any) -> None:
    """The same room, dressed in other spaces: the same returns."""

    class Dressed(gymnasium.Env[Any, Any]):
        def __init__(self, goal: tuple[int, int]) -> None:
            self.observation_space, self.action_space = observed, acted
            self.room = RoomEnv(ROOM, goal)

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[Any, dict[str, Any]]:
            state, info = self.room.reset(seed=seed)
            return state.astype(observed.dtype), info

        def step(self, action: Any) -> Any:
            assert acted.contains(action)
            state, *rest = self.room.step(int(np.asarray(action).item()))
            return state.astype(observed.dtype), *rest

    goals = [(2, 2), (0, 4), (2, 3)]
    ours = play(model, RoomVectorEnv(ROOM, 3, goals), 5, size=12, slide=6)
    for mode in AutoresetMode:
        envs = SyncVectorEnv([lambda goal=goal: Dressed(goal) for goal in goals], autoreset_mode=mode)
        assert np.array_equal(play(model, envs, 5, size=12, slide=6), ours), mode


def test_other_spaces_are_refused(model: DecisionTransformer) -> None:
    with pytest.raises(InputError, match=r"spaces MultiDiscrete\(\[5, 5\]\) and Discrete\(5\) that the agent"):
        play(model, RoomVectorEnv(DarkRoom(9, 6), 2), 1, size=4, slide=1)

    class Other(Counted):
        def __init__(self) -> None:
            super().__init__(2)
            self.observation_space = Box(0, 1, (2,))

    with pytest.raises(InputError, match="Box"):
        play(model, SyncVectorEnv([Other]), 1, size=4, slide=1)
    with pytest.raises(InputError, match="expected `episodes` to be an integer of 1 or more, got 0"):
        play(model, RoomVectorEnv(ROOM, 2), 0, size=4, slide=1)


def test_a_compressor_may_be_given_by_its_name(model: DecisionTransformer) -> None:
    envs = RoomVectorEnv(ROOM, 6, [(2, 2)] * 6)
    by_name = play(model, envs, 8, size=40, slide=6, compressor="recency")
    assert np.array_equal(by_name, play(model, envs, 8, size=40, slide=6, compressor=RecencyCompressor()))
    assert not np.array_equal(by_name, play(model, envs, 8, size=40, slide=6))
    with pytest.raises(InputError, match='unknown compressor "recent"'):
        play(model, envs, 8, size=40, slide=6, compressor="recent")


def test_the_progress_is_the_share_of_the_episodes(model: DecisionTransformer) -> None:
    shares: list[float] = []
    envs = SyncVectorEnv([lambda: Counted(2), lambda: Counted(4)], autoreset_mode=AutoresetMode.SAME_STEP)
    play(model, envs, 2, size=4, slide=1, progress=shares.append)
    assert shares == [0, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 1.0]


MISTAKES = """
import gymnasium
import keepmap
from keepmap.errors import InputError
from keepmap.agents.compressors.random import RandomCompressor

agent = keepmap.load_agent()
one = gymnasium.make("keepmap/DarkRoom-9x9-v0")
envs = gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=2)
for given in (
    {"envs": one}, {"envs": None}, {"episodes": 1.5}, {"seed": -1}, {"compressor": 3},
    {"compressor": RandomCompressor},
):
    try:
        agent.play(**{"envs": envs, "episodes": 1, **given})
    except InputError as error:
        print(error)
"""


def test_what_cannot_be_played_is_one_line() -> None:
    """In a process of its own: here, the types of arguments are checked before they are looked at."""
    done = python("-c", MISTAKES, cwd=Path())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    vectors = "expected `envs` to be a vector of environments, as gymnasium.make_vec makes, got"
    starts = (
        f"{vectors} OrderEnforcing",
        f"{vectors} NoneType",
        "expected `episodes` to be an integer of 1 or more, got 1.5",
        "expected `seed` to be an integer of 0 or more, got -1",
        *["expected `compressor` to be a compressor or the name of one"] * 2,
    )
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


def test_environments_that_break_their_word_are_named(model: DecisionTransformer) -> None:
    class Outside(Counted):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.array([9, 9]), 1.0, False, False, {}

    class Silent(RoomVectorEnv):
        def step(self, actions: Any) -> Any:
            *rest, _ = super().step(actions)
            return *rest, {}

    with pytest.raises(InputError, match="outside of its space"):
        play(model, SyncVectorEnv([lambda: Outside(2)]), 1, size=4, slide=1)

    class Last(Counted):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.array([9, 9]), 1.0, True, False, {}

    for mode in AutoresetMode:
        with pytest.raises(InputError, match="outside of its space"):
            play(model, SyncVectorEnv([lambda: Last(1)], autoreset_mode=mode), 2, size=4, slide=1)
    with pytest.raises(InputError, match="final_obs"):
        play(model, Silent(ROOM, 2), 2, size=4, slide=1)


def test_weights_that_are_no_numbers_are_an_error() -> None:
    broken = DecisionTransformer(SHAPE).eval()
    torch.nn.init.constant_(broken.head.bias, float("nan"))
    with pytest.raises(ImpossibleResultError, match="logits are not finite"):
        play(broken, RoomVectorEnv(ROOM, 2), 1, size=4, slide=1)
