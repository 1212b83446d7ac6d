"""Many learners that walk through a room together: the loop that the array sources share."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, Integer

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.world import World
from keepmap.core.progress import Progress

__all__ = ["Draws", "Learner", "play"]


class Draws:
    """Random numbers of which each goal has a stream of its own, so that no goal changes what another one sees."""

    def __init__(self, room: World, goals: Sequence[Goal], learners: int, seed: int) -> None:
        self._generators = [np.random.default_rng([seed, room.index(goal)]) for goal in goals]
        self._learners = learners

    def uniform(self, steps: int, width: int) -> Float32[np.ndarray, "steps n width"]:
        """Numbers drawn uniformly from [0, 1), for each step and learner."""
        shape = (steps, self._learners, width)
        return np.concatenate([generator.random(shape, dtype=np.float32) for generator in self._generators], axis=1)


class Learner(Protocol):
    """What acts and learns, on arrays with one entry per learner; it never sees a goal."""

    def act(
        self,
        cells: Integer[np.ndarray, " n"],
        progress: Integer[np.ndarray, " n"],
        share: float,
        draws: Float32[np.ndarray, "n width"],
    ) -> Integer[np.ndarray, " n"]:
        """Actions; `share` of the episodes lie behind."""

    def see(
        self,
        cells: Integer[np.ndarray, " n"],
        progress: Integer[np.ndarray, " n"],
        actions: Integer[np.ndarray, " n"],
        rewarded: Bool[np.ndarray, " n"],
        cells_after: Integer[np.ndarray, " n"],
        progress_after: Integer[np.ndarray, " n"],
    ) -> None:
        """Learn from one step of every learner."""


def play(
    room: Room,
    goals: Sequence[Goal],
    learners: int,
    episodes: int,
    seed: int,
    progress: Progress | None,
    width: int,
    make: Callable[[int], Learner],
) -> Streams:
    """Play the episodes and keep everything; `make(n)` makes the learners, who get `width` draws each per step.

    `reached` is how far each learner is in its room's goal: 1 with the key, say.
    """
    horizon = room.horizon
    draws = Draws(room, goals, learners, seed)
    hidden = np.repeat(np.array(goals, dtype=np.int64), learners, axis=0)
    n, steps = len(hidden), episodes * horizon
    learner = make(n)
    states, after = (np.empty((steps, n, 2), dtype=np.uint8) for _ in range(2))
    actions, rewards = (np.empty((steps, n), dtype=np.uint8) for _ in range(2))
    dones = np.zeros((steps, n), dtype=np.bool_)
    dones[horizon - 1 :: horizon] = True
    for episode in range(episodes):
        cells = room.starts(draws.uniform(1, 2)[0])
        reached = np.zeros(n, dtype=np.int64)
        noise = draws.uniform(horizon, width)
        for step in range(horizon):
            row = episode * horizon + step
            here = cells[:, 0] * room.size + cells[:, 1]
            taken = learner.act(here, reached, episode / episodes, noise[step])
            cells_after, rewarded = room.step(hidden, cells, reached, taken)
            reached_after = room.advance(reached, rewarded)
            there = cells_after[:, 0] * room.size + cells_after[:, 1]
            learner.see(here, reached, taken, rewarded, there, reached_after)
            states[row], actions[row], rewards[row], after[row] = cells, taken, rewarded, cells_after
            cells, reached = cells_after, reached_after
        if progress is not None:
            progress((episode + 1) / episodes)
    return Streams(states, actions, rewards, after, dones)
