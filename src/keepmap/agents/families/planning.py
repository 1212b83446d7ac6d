"""What the best and a random agent earn in a small world that is known: backwards, from the last step to the first."""

import numpy as np
from jaxtyping import Float, Int

__all__ = ["planned_returns"]


def planned_returns(
    successors: Int[np.ndarray, "M S A K"],
    chances: Float[np.ndarray, "M S A K"],
    rewards: Float[np.ndarray, "N S A K"],
    starts: Float[np.ndarray, "N S"],
    horizon: int,
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The expected return of an episode: of the best agent, and of one that takes each action equally often.

    Args:
        successors: the K states to which an action in a state may lead, of each world (M is N, or 1 for one that all
            share); chances: of each.
        rewards: of each way.
        starts: how often an episode begins in each state.
        horizon: steps of an episode.

    >>> here, there = np.array([[[[0], [1]], [[1], [1]]]]), np.zeros((1, 2, 2, 1))
    >>> there[0, :, :, 0] = [[0, 1], [1, 1]]  # arriving in state 1 pays
    >>> best, random = planned_returns(here, np.ones((1, 2, 2, 1)), there, np.array([[1.0, 0.0]]), 2)
    >>> best.tolist(), random.tolist()
    ([2.0], [1.25])
    """
    best, random = np.zeros(starts.shape), np.zeros(starts.shape)
    places, rows = np.broadcast_to(successors, rewards.shape), np.arange(len(rewards))[:, None, None, None]
    for _ in range(horizon):
        best = (chances * (rewards + best[rows, places])).sum(-1).max(-1)
        random = (chances * (rewards + random[rows, places])).sum(-1).mean(-1)
    return (starts * best).sum(1), (starts * random).sum(1)
