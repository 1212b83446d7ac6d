"""Thousands of copies of a room, stepped together on arrays."""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Integer

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import N_ACTIONS, Room
from keepmap.core.arguments import shown
from keepmap.errors import InputError

__all__ = ["RoomVectorEnv", "generators"]


class RoomVectorEnv(VectorEnv[Integer[np.ndarray, "N 2"], Integer[np.ndarray, " N"], np.ndarray]):
    """Copies of one room, each with a goal of its own; equal, step for step, to as many single environments.

    All episodes end together. The step that ends them returns the first observations of the next ones, and the last
    observations as `infos["final_obs"]`, an array [N, 2], with the mask `infos["_final_obs"]` (autoreset in the same
    step). `reset(seed=s)` seeds copy i with s + i, as Gymnasium's own vector environments do.

    Args:
        room: the rules.
        num_envs: how many copies.
        goals: one for each copy; drawn as in the single environment where they are not given.

    Raises:
        InputError: no copies, another number of goals than copies, or a goal that the room does not have.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, room: Room, num_envs: int, goals: Sequence[Goal] | None = None) -> None:
        if num_envs < 1:
            raise InputError(f"expected `num_envs` to be 1 copy of a room or more, got {num_envs}")
        if goals is not None and not isinstance(goals, Sized):
            raise InputError(f"expected `goals` to be one for each of {num_envs} copies of a room, got {shown(goals)}")
        if goals is not None and len(goals) != num_envs:
            raise InputError(f"expected `goals` to be one for each of {num_envs} copies of a room, got {len(goals)}")
        self.room = room
        self.num_envs = num_envs
        self.single_observation_space = MultiDiscrete([room.size, room.size])
        self.single_action_space = Discrete(N_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._given = goals is not None
        self._goals: Integer[np.ndarray, "N g"] | None = None
        if goals is not None:
            self._goals = np.array([room.goals[room.index(goal)] for goal in goals])
        self._generators: list[np.random.Generator] | None = None
        self._cells: Integer[np.ndarray, "N 2"] | None = None
        self._progress = np.zeros(num_envs, dtype=np.int64)
        self._steps = 0

    @property
    def goals(self) -> tuple[Goal, ...] | None:
        """What is hidden from the agents; None before the first reset where none were given."""
        return None if self._goals is None else tuple(tuple(goal) for goal in self._goals.tolist())

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Integer[np.ndarray, "N 2"], dict[str, Any]]:
        """Start an episode in every copy; no options are known.

        Raises:
            InputError: another number of seeds than copies.
        """
        if seed is not None or self._generators is None:
            self._generators = generators(seed, self.num_envs, "a room")
            if not self._given:
                drawn = [int(generator.integers(len(self.room.goals))) for generator in self._generators]
                self._goals = np.array([self.room.goals[index] for index in drawn])
        return self._begin(), {}

    def step(
        self, actions: Integer[np.ndarray, " N"]
    ) -> tuple[
        Integer[np.ndarray, "N 2"],
        Float[np.ndarray, " N"],
        Bool[np.ndarray, " N"],
        Bool[np.ndarray, " N"],
        dict[str, Any],
    ]:
        """Take one action in every copy.

        Raises:
            InputError: the actions are not N numbers from 0 to 4, or there was no reset before.
        """
        if self._cells is None or self._goals is None:
            raise InputError("step was called before reset; call reset first")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= N_ACTIONS:
            raise InputError(
                f"expected `actions` to be {self.num_envs} numbers from 0 to {N_ACTIONS - 1}, got {actions!r}"
            )
        self._cells, rewarded = self.room.step(self._goals, self._cells, self._progress, actions)
        self._progress = self.room.advance(self._progress, rewarded)
        self._steps += 1
        ended = self._steps >= self.room.horizon
        truncated = np.full(self.num_envs, ended)
        infos: dict[str, Any] = {}
        observations = self._cells.copy()
        if ended:
            infos = {"final_obs": observations, "_final_obs": truncated.copy()}
            observations = self._begin()
        return observations, rewarded.astype(np.float64), np.zeros(self.num_envs, dtype=np.bool_), truncated, infos

    def _begin(self) -> Integer[np.ndarray, "N 2"]:
        assert self._generators is not None
        self._cells = self.room.starts(np.stack([generator.random(2) for generator in self._generators]))
        self._progress = np.zeros(self.num_envs, dtype=np.int64)
        self._steps = 0
        return self._cells.copy()


def generators(seed: int | Sequence[int | None] | None, num_envs: int, what: str) -> list[np.random.Generator]:
    """One for each copy of a room or a family: a seed s is s + i for copy i.

    >>> [int(generator.integers(100)) for generator in generators(7, 2, "a room")]
    [94, 71]

    Raises:
        InputError: another number of seeds than copies.
    """
    if seed is None or isinstance(seed, int | np.integer):
        seeds = [None if seed is None else int(seed) + copy for copy in range(num_envs)]
    else:
        seeds = list(seed)
    if len(seeds) != num_envs:
        raise InputError(f"expected `seed` to be one for each of {num_envs} copies of {what}, got {len(seeds)}")
    return [seeding.np_random(copy_seed)[0] for copy_seed in seeds]
