"""Contexts to look at: what an agent would have before it at a step of a learner's life."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.environments.goals import Goal
from keepmap.agents.history import History
from keepmap.errors import InputError

__all__ = ["Context", "context_at"]


@dataclass(frozen=True, eq=False)
class Context:
    """A history of one row, the state that comes after it, and what the learner did then.

    Attributes:
        now: [1], the time of its next step.
        action: the learner's next action.
        goal, learner, step: whose life it is, and how many steps of it lie behind.
    """

    history: History
    query_states: Int[Tensor, "1 S"]
    now: Int[Tensor, " 1"]
    action: int
    goal: Goal
    learner: int
    step: int

    @property
    def looked(self) -> tuple[History, Int[Tensor, "1 S"], Int[Tensor, " 1"]]:
        """What an agent looks at: see `Agent.attention_layers`."""
        return self.history, self.query_states, self.now


def context_at(streams: Streams, learner: int, step: int, most: int, goal: Goal) -> Context:
    """The last `most` transitions before step `step` (from 0) of one learner.

    Args:
        streams: of the learners of one goal.

    Raises:
        InputError: a step or a learner that is not there.
    """
    steps, learners = streams.actions.shape
    if not 0 <= learner < learners:
        raise InputError(f"learner {learner} of goal {goal} was asked for; there are 0..{learners - 1}")
    if not 1 <= step < steps:
        raise InputError(
            f"step {step} of a learner's life was asked for; it has steps 1..{steps - 1} with a history before them"
        )
    span = slice(max(0, step - most), step)
    states, actions, next_states = (
        torch.from_numpy(values[span, learner].astype(np.int64))[None]
        for values in (streams.states, streams.actions, streams.next_states)
    )
    rewards = torch.from_numpy(streams.rewards[span, learner].astype(np.float32))[None]
    times = torch.arange(span.start, span.stop)[None]
    dones = torch.from_numpy(streams.dones[span, learner])[None]
    history = History(
        states, actions, rewards, next_states, times, torch.ones_like(times, dtype=torch.bool), dones=dones
    )
    query = torch.from_numpy(streams.states[step, learner].astype(np.int64))[None]
    return Context(history, query, torch.tensor([step]), int(streams.actions[step, learner]), goal, learner, step)
