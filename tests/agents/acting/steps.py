"""What agents may have done in a room of 5 x 5 cells."""

import torch
from torch import Tensor

from keepmap.agents.acting.memory import Step


def step(draw: torch.Generator, agents: int, valid: Tensor | None = None) -> Step:
    """A drawn step of each agent."""
    return Step(
        states=torch.randint(0, 5, (agents, 2), generator=draw),
        actions=torch.randint(0, 5, (agents,), generator=draw),
        rewards=torch.randint(0, 2, (agents,), generator=draw).float(),
        next_states=torch.randint(0, 5, (agents, 2), generator=draw),
        dones=torch.randint(0, 2, (agents,), generator=draw).bool(),
        valid=torch.ones(agents, dtype=torch.bool) if valid is None else valid,
    )
