"""Lives of made-up agents in a made-up family, with the whole history and with what two compressors keep of it."""

import numpy as np

from keepmap.agents.study.lives import Lived

TASKS, COPIES, EPISODES = 12, 2, 8


def lives(compressor: str, percent: float, share: float, cost: float, episodes: int = EPISODES) -> Lived:
    """Two agents that earn `share` of the way from 1 (random) to 5 (the best), a little more in some tasks."""
    spread = np.linspace(-0.02, 0.02, TASKS)[None, :, None, None]
    returns = 1 + 4 * (share + spread) * np.ones((2, TASKS, COPIES, episodes))
    kept = 100 * (1 - percent / 100)
    return Lived(
        compressor=compressor,
        percent=percent,
        length=round(kept),
        returns=returns,
        kept=kept,
        ratio=kept / 100,
        flops=cost,
        bytes=round(kept),
    )


LIVES = (
    lives("good", 80.0, 0.925, 500.0),
    lives("bad", 80.0, 0.2, 500.0),
    lives("baseline", 0.0, 0.93, 100.0),
    lives("good", 50.0, 0.93, 700.0),
    lives("bad", 50.0, 0.5, 700.0),
)
BEST, RANDOM = np.full((TASKS, 1), 5.0), np.full((TASKS, 1), 1.0)
