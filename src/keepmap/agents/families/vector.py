"""Thousands of lives of one family, stepped together on arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Int, UInt8

from keepmap.agents.environments.vector import generators
from keepmap.agents.families.family import Arrays, Family, Where
from keepmap.errors import InputError

__all__ = ["FamilyVectorEnv"]


class FamilyVectorEnv(VectorEnv[Int[np.ndarray, "N D"], Int[np.ndarray, " N"], np.ndarray]):
    """Copies of one family, each living in a task of its own; equal, step for step, to as many single environments.

    A reset with a seed begins lives; one without goes on to the next episode, as the end of an episode does. A life
    that has had all its episodes begins again, in the same task. All episodes end together. The step that ends them
    returns the first observations of the next ones, and the last observations as `infos["final_obs"]`, with the mask
    `infos["_final_obs"]` (autoreset in the same step). `reset(seed=s)` seeds copy i with s + i.

    Args:
        family: the rules.
        num_envs: how many copies.
        tasks: one for each copy; drawn at a reset with a seed where they are not given.

    Raises:
        InputError: no copies, another number of tasks than copies, or tasks that there are not.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, family: Family, num_envs: int, tasks: Sequence[int] | None = None) -> None:
        if num_envs < 1:
            raise InputError(f"expected `num_envs` to be 1 copy of a family or more, got {num_envs}")
        given = None if tasks is None else family.checked(tasks)
        if given is not None and len(given) != num_envs:
            raise InputError(f"expected `tasks` to be one for each of {num_envs} copies of a family, got {len(given)}")
        self.family = family
        self.num_envs = num_envs
        self.single_observation_space = MultiDiscrete(list(family.observation_sizes))
        self.single_action_space = Discrete(family.n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._given = given is not None
        self._tasks = given
        self._of: Arrays = {} if given is None else family.arrays(given)
        self._generators: list[np.random.Generator] | None = None
        self._at: Where | None = None

    @property
    def tasks(self) -> tuple[int, ...] | None:
        """What the agents live in; None before the first reset where none were given."""
        return None if self._tasks is None else tuple(self._tasks.tolist())

    @property
    def episode(self) -> int | None:
        """Which episode of their lives it is, counted from 0; None before the first reset."""
        return None if self._at is None else int(self._at.episode[0])

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Int[np.ndarray, "N D"], dict[str, Any]]:
        """Begin lives, or without a seed the next episode of each; no options are known.

        Raises:
            InputError: another number of seeds than copies.
        """
        return self.restart(seed)

    def restart(self, seed: int | Sequence[int | None] | None) -> tuple[Int[np.ndarray, "N D"], dict[str, Any]]:
        """As `reset`."""
        if seed is not None or self._generators is None:
            self._generators = generators(seed, self.num_envs, "a family")
            self._at = None
            if not self._given:
                drawn = [int(generator.integers(self.family.n_tasks)) for generator in self._generators]
                self._tasks = np.array(drawn)
                self._of = self.family.arrays(self._tasks)
        return self._begin(), {}

    def step(
        self, actions: Any
    ) -> tuple[
        Int[np.ndarray, "N D"],
        Float[np.ndarray, " N"],
        Bool[np.ndarray, " N"],
        Bool[np.ndarray, " N"],
        dict[str, Any],
    ]:
        """Take one action in every copy.

        Raises:
            InputError: the actions are not N numbers of actions, or there was no reset before.
        """
        if self._at is None:
            raise InputError("step was called before reset; call reset first")
        actions, most = np.asarray(actions), self.family.n_actions - 1
        wrong = actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu"
        if wrong or actions.min() < 0 or actions.max() > most:
            raise InputError(f"expected `actions` to be {self.num_envs} numbers from 0 to {most}, got {actions!r}")
        observations, rewards, ended = self.advance(actions)
        truncated, infos = np.full(self.num_envs, ended), dict[str, Any]()
        if ended:
            infos = {"final_obs": observations, "_final_obs": truncated.copy()}
            observations = self._begin()
        return observations, rewards, np.zeros(self.num_envs, dtype=np.bool_), truncated, infos

    def advance(self, actions: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, "N D"], Float[np.ndarray, " N"], bool]:
        """One step without what follows it: where it led, what it paid, and whether the episode is over."""
        assert self._at is not None
        states, rewards = self.family.step(self._of, self._at, actions, self._draws())
        self._at = Where(states, self._at.episode, self._at.step + 1)
        return self.family.observe(self._of, self._at).copy(), rewards, bool(self._at.step[0] >= self.family.horizon)

    def picture(self) -> UInt8[np.ndarray, "H W 3"]:
        """The first copy as it stands.

        Raises:
            InputError: there was no reset before.
        """
        if self._at is None:
            raise InputError("render was called before reset; call reset first")
        return self.family.picture(self._of, self._at)

    def _begin(self) -> Int[np.ndarray, "N D"]:
        none = np.zeros(self.num_envs, dtype=np.int64)
        episode = none if self._at is None else (self._at.episode + 1) % self.family.episodes
        self._at = Where(self.family.starts(self._of, episode, self._draws()), episode, none)
        return self.family.observe(self._of, self._at).copy()

    def _draws(self) -> Float[np.ndarray, " N"]:
        assert self._generators is not None
        return np.array([generator.random() for generator in self._generators])
