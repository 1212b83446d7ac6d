"""What learners earn, from their streams."""

import numpy as np

from keepmap.agents.collection.dataset import Streams


def returns(streams: Streams, horizon: int) -> np.ndarray:
    """The return of each episode of each learner, [E, n]."""
    steps, n = streams.rewards.shape
    return streams.rewards.reshape(steps // horizon, horizon, n).sum(axis=1, dtype=int)
