"""One room as a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from jaxtyping import Integer

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import N_ACTIONS, Room
from keepmap.errors import InputError

__all__ = ["RoomEnv"]


class RoomEnv(gymnasium.Env[Integer[np.ndarray, "2"], np.int64]):
    """One copy of a room, as a Gymnasium environment.

    Args:
        room: the rules.
        goal: drawn at the first reset, and at every reset with a seed, where it is not given.

    Raises:
        InputError: the room has no such goal.
    """

    metadata = {"render_modes": []}

    def __init__(self, room: Room, goal: Goal | None) -> None:
        self.room = room
        self.observation_space = MultiDiscrete([room.size, room.size])
        self.action_space = Discrete(N_ACTIONS)
        self._given = None if goal is None else room.goals[room.index(goal)]
        self._goal = self._given
        self._cell: Integer[np.ndarray, "1 2"] | None = None
        self._progress = np.zeros(1, dtype=np.int64)
        self._steps = 0

    @property
    def goal(self) -> Goal | None:
        """What is hidden from the agent; None before the first reset where none was given."""
        return self._goal

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Integer[np.ndarray, "2"], dict[str, Any]]:
        """Start an episode; no options are known."""
        super().reset(seed=seed)
        if self._given is None and (self._goal is None or seed is not None):
            self._goal = self.room.goals[int(self.np_random.integers(len(self.room.goals)))]
        self._cell = self.room.starts(self.np_random.random((1, 2)))
        self._progress = np.zeros(1, dtype=np.int64)
        self._steps = 0
        return self._cell[0].copy(), {}

    def step(self, action: Any) -> tuple[Integer[np.ndarray, "2"], float, bool, bool, dict[str, Any]]:
        """Take an action; the fourth value says that the time limit was reached.

        Raises:
            InputError: the action is not one of 0 to 4, or there was no reset before.
        """
        if self._cell is None:
            raise InputError("step was called before reset; call reset first")
        if not self.action_space.contains(action):
            raise InputError(f"expected `action` to be 0 to {N_ACTIONS - 1}, got {action!r}")
        assert self._goal is not None
        actions = np.array([action])
        self._cell, rewarded = self.room.step(np.array([self._goal]), self._cell, self._progress, actions)
        self._progress = self.room.advance(self._progress, rewarded)
        self._steps += 1
        return self._cell[0].copy(), float(rewarded[0]), False, self._steps >= self.room.horizon, {}
