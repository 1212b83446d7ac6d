"""Contexts for tests: random walks through a 3x3 room."""

import numpy as np
import torch
from torch import Tensor

from keepmap.agents.acting.context import Context
from keepmap.agents.history import History

N = 12


def walks(count: int, seed: int = 0, n: int = N) -> list[Context]:
    """Random walks through a 3x3 room, of n transitions."""
    rng = np.random.default_rng(seed)

    def drawn(most: int, *shape: int) -> Tensor:
        return torch.from_numpy(rng.integers(most, size=shape))

    results = []
    for _ in range(count):
        cells = drawn(3, 1, n + 1, 2)
        first = int(drawn(50, 1))
        history = History(
            states=cells[:, :-1],
            actions=drawn(5, 1, n),
            rewards=drawn(2, 1, n).float(),
            next_states=cells[:, 1:],
            times=first + torch.arange(n)[None],
            valid=torch.ones(1, n, dtype=torch.bool),
        )
        now = torch.tensor([first + n])
        results.append(
            Context(
                history, cells[:, -1], now, action=int(drawn(5, 1)), goal=(len(results), 0), learner=0, step=first + n
            )
        )
    return results
