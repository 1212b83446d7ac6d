"""Many learners that live in tasks of a family: the loop that the families' sources share."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float, Float32, Int

from keepmap.agents.collection.dataset import Streams, stored_type
from keepmap.agents.collection.learners import Draws
from keepmap.agents.environments.goals import Goal
from keepmap.agents.families.family import Family, Where
from keepmap.core.progress import Progress

__all__ = ["LivingLearner", "live"]


class LivingLearner(Protocol):
    """What acts and learns, on arrays with one entry per learner; it never sees its task."""

    def act(
        self, seen: Int[np.ndarray, "n D"], episode: int, step: int, draws: Float32[np.ndarray, "n width"]
    ) -> Int[np.ndarray, " n"]:
        """Actions in the step of this number of the episode of this number, both from 0."""

    def see(
        self,
        seen: Int[np.ndarray, "n D"],
        actions: Int[np.ndarray, " n"],
        rewards: Float[np.ndarray, " n"],
        seen_after: Int[np.ndarray, "n D"],
    ) -> None:
        """Learn from one step of every learner."""


def live(
    family: Family,
    goals: Sequence[Goal],
    learners: int,
    episodes: int,
    seed: int,
    progress: Progress | None,
    width: int,
    make: Callable[[int], LivingLearner],
) -> Streams:
    """Live through the first episodes of a life in each task, and keep everything.

    `make(n)` makes the learners, who get `width` draws each per step.
    """
    horizon, draws = family.horizon, Draws(family, goals, learners, seed)
    numbers = np.array([family.index(goal) for goal in goals])
    of = {name: np.repeat(values, learners, axis=0) for name, values in family.arrays(numbers).items()}
    n, steps = len(numbers) * learners, episodes * horizon
    learner, small = make(n), stored_type(family)
    states, after = (np.empty((steps, n, len(family.observation_sizes)), dtype=small) for _ in range(2))
    actions, rewards = np.empty((steps, n), dtype=small), np.empty((steps, n), dtype=np.uint8)
    dones = np.zeros((steps, n), dtype=np.bool_)
    dones[horizon - 1 :: horizon] = True
    for episode in range(episodes):
        counted = np.full(n, episode)
        places = family.starts(of, counted, draws.uniform(1, 1)[0, :, 0])
        # The world's own chances first, then the learner's.
        noise = draws.uniform(horizon, 1 + width)
        for step in range(horizon):
            row = episode * horizon + step
            here = Where(places, counted, np.full(n, step))
            seen = family.observe(of, here)
            taken = learner.act(seen, episode, step, noise[step, :, 1:])
            places, paid = family.step(of, here, taken, noise[step, :, 0])
            seen_after = family.observe(of, Where(places, counted, np.full(n, step + 1)))
            learner.see(seen, taken, paid, seen_after)
            states[row], actions[row], rewards[row], after[row] = seen, taken, paid, seen_after
        if progress is not None:
            progress((episode + 1) / episodes)
    return Streams(states, actions, rewards, after, dones)
