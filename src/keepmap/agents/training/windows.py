"""Learning histories in memory, and the windows of them that a training step sees."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer, UInt8
from torch import Tensor

from keepmap.agents.collection.dataset import Histories, bytes_of
from keepmap.agents.environments.goals import Goal
from keepmap.core.outside.memory import require_memory
from keepmap.errors import InputError

__all__ = ["Windows", "load_windows"]


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """B windows of n consecutive transitions each."""

    states: Int[Tensor, "B n S"]
    actions: Int[Tensor, "B n"]
    rewards: Float[Tensor, "B n"]
    next_states: Int[Tensor, "B n S"]
    dones: Bool[Tensor, "B n"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Windows:
    """The histories of K learners over T steps, in the smallest types that hold them."""

    states: Integer[Tensor, "K T S"]
    actions: Integer[Tensor, "K T"]
    rewards: UInt8[Tensor, "K T"]
    next_states: Integer[Tensor, "K T S"]
    dones: Bool[Tensor, "K T"]
    horizon: int

    def batch(self, draws: np.random.Generator, size: int, length: int, from_start: float) -> WindowBatch:
        """Windows that begin at an episode's first step: a share of them at a learner's first episode of all."""
        learners, steps = self.actions.shape
        length = min(length, steps)
        last = (steps - length) // self.horizon
        which = draws.integers(0, learners, size)
        first = np.where(draws.random(size) < from_start, 0, draws.integers(0, last + 1, size)) * self.horizon
        rows = torch.from_numpy(which)[:, None]
        columns = torch.from_numpy(first)[:, None] + torch.arange(length)
        return WindowBatch(
            self.states[rows, columns].long(),
            self.actions[rows, columns].long(),
            self.rewards[rows, columns].float(),
            self.next_states[rows, columns].long(),
            self.dones[rows, columns],
        )


def load_windows(
    histories: Histories,
    learners: slice,
    held_out: tuple[Goal, ...],
    *,
    most_steps: int | None = None,
    last_episodes: int | None = None,
) -> Windows:
    """The histories of some learners of each goal.

    Args:
        held_out: goals that must not be in the file.
        most_steps: how many of the first steps of each history are used; None for all.
        last_episodes: use the last so many episodes alone (after `most_steps`); None for all.

    Raises:
        InputError: a held-out goal is in the file, there are no such learners, steps or episodes, or it is damaged.
    """
    leaked = sorted(set(held_out) & set(histories.goals))
    if leaked:
        raise InputError(f"{histories.path} holds the held-out goal {leaked[0]}; collect histories for this split")
    horizon = histories.room.horizon
    end = histories.n_steps if most_steps is None else min(most_steps, histories.n_steps)
    end -= end % horizon
    first = 0 if last_episodes is None else end - last_episodes * horizon
    if end < horizon or first < 0:
        raise InputError(
            f"{histories.path} has {histories.n_steps // horizon} episodes of {horizon} steps for each learner; "
            "fewer than train_source_timesteps and last_episodes ask for"
        )
    chosen = len(range(histories.n_learners)[learners])
    require_memory(
        2 * bytes_of(histories.room) * len(histories) * (end - first) * chosen,  # read, then joined
        f"{histories.path}: {end - first:,} steps of {chosen:,} learners of {len(histories)} goals",
        "lower train_source_timesteps, last_episodes or train_n_stream",
    )
    parts = [histories.read(goal, slice(first, end), learners) for goal in range(len(histories))]
    if parts[0].actions.shape[1] == 0:
        raise InputError(f"{histories.path} has {histories.n_learners} learners of each goal, too few; collect more")

    def joined(name: str) -> Tensor:
        values = [np.swapaxes(getattr(part, name), 0, 1) for part in parts]
        return torch.from_numpy(np.concatenate(values))

    return Windows(
        states=joined("states"),
        actions=joined("actions"),
        rewards=joined("rewards"),
        next_states=joined("next_states"),
        dones=joined("dones"),
        horizon=horizon,
    )
