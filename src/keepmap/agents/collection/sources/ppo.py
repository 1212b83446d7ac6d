"""PPO through stable-baselines3, as the guide's repository collects its histories."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.collection.source import Source
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.single import RoomEnv
from keepmap.agents.environments.world import World
from keepmap.core.progress import Progress
from keepmap.errors import InputError

__all__ = ["PPO"]


@dataclass(frozen=True)
class PPO(Source):
    """One PPO policy per goal, which all learners of the goal share and improve together.

    The policy sees the cell alone, and is the same over `n_steps` steps: progress comes in jumps.

    Attributes:
        n_steps: steps of each learner between two updates.
        batch_size: transitions in a gradient step.
        n_epochs: passes over the collected transitions in an update.
        learning_rate: of Adam.
        discount: of the next step's value.

    Reference: Schulman et al., Proximal Policy Optimization Algorithms, arXiv 1707.06347.
    """

    n_steps: int = 80
    batch_size: int = 40
    n_epochs: int = 20
    learning_rate: float = 3e-4
    discount: float = 0.99

    name: ClassVar[str] = "ppo"
    usual_episodes: ClassVar[int] = 50
    at_once: ClassVar[int] = 1
    config_keys: ClassVar[Mapping[str, str | None]] = {
        "n_steps": "n_steps",
        "batch_size": "batch_size",
        "n_epochs": "n_epochs",
        "source_lr": "learning_rate",
        "policy": None,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for option, least in (("n_steps", 2), ("batch_size", 2), ("n_epochs", 1)):
            if getattr(self, option) < least:
                raise InputError(f"expected `{option}` of ppo to be {least} or more, got {getattr(self, option)}")
        if not (0 < self.learning_rate < float("inf") and 0 <= self.discount <= 1):
            raise InputError(
                "expected a finite learning_rate above 0 and a discount in [0, 1], got "
                f"learning_rate={self.learning_rate:g} and discount={self.discount:g} for ppo"
            )

    def check(self) -> None:
        _stable_baselines3()

    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        assert isinstance(room, Room)
        sb3 = _stable_baselines3()
        steps = episodes * room.horizon
        per_goal = []
        done, n_steps = 0, steps * learners * len(goals)

        def count() -> None:
            nonlocal done
            done += 1
            # What fills a last update is done, and not kept.
            if progress is not None:
                progress(min(done / n_steps, 1.0))

        for goal in goals:
            recorders = [Recorder(RoomEnv(room, goal), count) for _ in range(learners)]
            policy = sb3.PPO(
                "MlpPolicy",
                sb3.common.vec_env.DummyVecEnv([lambda recorder=recorder: recorder for recorder in recorders]),
                n_steps=self.n_steps,
                batch_size=self.batch_size,
                n_epochs=self.n_epochs,
                learning_rate=self.learning_rate,
                gamma=self.discount,
                seed=int(np.random.SeedSequence([seed, room.index(goal)]).generate_state(1)[0] >> 1),
                device="cpu",
                verbose=0,
            )
            policy.learn(steps * learners)
            per_goal.append([recorder.recorded(steps) for recorder in recorders])
        return stacked([rows for goal_rows in per_goal for rows in goal_rows])


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps every transition of one environment, with the state that each step truly led to."""

    def __init__(self, env: RoomEnv, count: Callable[[], None]) -> None:
        super().__init__(env)
        self._count = count
        self._cell = np.zeros(2, dtype=np.int64)
        self._rows: list[tuple[int, ...]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self._cell, info = self.env.reset(seed=seed, options=options)
        return self._cell, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take an action and keep what it led to."""
        after, reward, terminated, truncated, info = self.env.step(action)
        row = (*self._cell, action, reward, *after, terminated or truncated)
        self._rows.append(tuple(int(value) for value in row))
        self._cell = after
        self._count()
        return after, reward, terminated, truncated, info

    def recorded(self, steps: int) -> np.ndarray:
        """The first `steps` transitions, [T, 7]: state, action, reward, next state, done."""
        return np.array(self._rows[:steps], dtype=np.uint8)


def stacked(recorded: Sequence[np.ndarray]) -> Streams:
    """The transitions of n recorders as streams of n learners."""
    rows = np.stack(recorded, axis=1)
    return Streams(rows[..., 0:2], rows[..., 2], rows[..., 3], rows[..., 4:6], rows[..., 6].astype(np.bool_))


def _stable_baselines3() -> Any:
    try:
        import stable_baselines3
        import stable_baselines3.common.vec_env
    except ImportError as error:
        raise InputError(
            f"the source ppo needs stable-baselines3 ({error}); install it: pip install 'keepmap[sb3]'"
        ) from error
    return stable_baselines3
