"""One life of a family, as a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from jaxtyping import Int, UInt8

from keepmap.agents.families.family import Family
from keepmap.agents.families.vector import FamilyVectorEnv
from keepmap.core.arguments import shown
from keepmap.errors import InputError

__all__ = ["FamilyEnv"]

PIXELS = 16
"""Along a side of a cell."""


class FamilyEnv(gymnasium.Env[Int[np.ndarray, "D"], np.int64]):
    """One copy of a family, as a Gymnasium environment: it is drawn, too.

    A reset with a seed begins a life; one without goes on to its next episode.

    Args:
        family: the rules.
        task: drawn at the first reset, and at every reset with a seed, where it is not given.
        render_mode: "rgb_array", or None for no pictures.

    Raises:
        InputError: the family has no such task, or there are no such pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, family: Family, task: int | None = None, render_mode: str | None = None) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f'expected `render_mode` to be "rgb_array" or None, got {shown(render_mode)}')
        self.family, self.render_mode = family, render_mode
        self.observation_space = MultiDiscrete(list(family.observation_sizes))
        self.action_space = Discrete(family.n_actions)
        self._copies = FamilyVectorEnv(family, 1, None if task is None else [task])

    @property
    def task(self) -> int | None:
        """What the agent lives in; None before the first reset where none was given."""
        return None if self._copies.tasks is None else self._copies.tasks[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Int[np.ndarray, "D"], dict[str, Any]]:
        """Begin a life, or without a seed its next episode; no options are known."""
        super().reset(seed=seed)
        observations, infos = self._copies.restart(seed)
        return observations[0], infos

    def step(self, action: Any) -> tuple[Int[np.ndarray, "D"], float, bool, bool, dict[str, Any]]:
        """Take an action; the fourth value says that the time limit was reached.

        Raises:
            InputError: the action is none, or there was no reset before.
        """
        if self._copies.episode is None:
            raise InputError("step was called before reset; call reset first")
        if not self.action_space.contains(action):
            raise InputError(f"expected `action` to be 0 to {self.family.n_actions - 1}, got {action!r}")
        observations, rewards, truncated = self._copies.advance(np.array([action]))
        return observations[0], float(rewards[0]), False, truncated, {}

    def render(self) -> UInt8[np.ndarray, "H W 3"] | None:
        """The life as it stands, the hidden task too; None where no `render_mode` was given.

        Raises:
            InputError: there was no reset before.
        """
        if self.render_mode is None:
            return None
        return self._copies.picture().repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)
