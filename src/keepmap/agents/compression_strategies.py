"""The compressors as `compression_strategies` offers them: those that need attention ask the embedded agent for it."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.agents.arrays import Array, as_history
from keepmap.agents.compressor import Compressed, Compressor, History, compressors
from keepmap.agents.compressors import adaptive, attention_based, threshold
from keepmap.agents.compressors.exponential_decay import ExponentialDecayCompressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.compressors.random_without_newest import RandomWithoutNewestCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.compressors.reward_aware import RewardAwareCompressor
from keepmap.agents.compressors.uniform import UniformCompressor
from keepmap.agents.transformer import DecisionTransformer
from keepmap.errors import InputError

__all__ = [
    "AdaptiveCompressor",
    "AttentionBasedCompressor",
    "ExponentialDecayCompressor",
    "RandomCompressor",
    "RandomWithoutNewestCompressor",
    "RecencyCompressor",
    "RewardAwareCompressor",
    "ThresholdCompressor",
    "UniformCompressor",
    "attention_to",
]


@runtime_checkable
class Attends(Protocol):
    """What these compressors need of an agent."""

    @property
    def model(self) -> DecisionTransformer:
        """The model, of which only the sizes matter."""

    def attention(self, history: History, query_states: Int[Tensor, "B S"]) -> Float[Tensor, "B n"]:
        """How much each query state attends to each transition."""


def embedded_agent() -> Attends:
    """The agent that comes with keepmap."""
    from keepmap.agents.acting.agent import load_agent

    return load_agent("tiny")


def attention_to(history: History, query_states: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B n"]:
    """How much the embedded agent attends to each transition of these very histories.

    Args:
        query_states: where the agents are now; by default where the histories have led, the last next state.

    Raises:
        InputError: the agent knows no such states or actions.
    """
    if not history.valid.any():
        return torch.zeros(history.valid.shape)
    agent = embedded_agent()
    sizes, n_actions = list(agent.model.shape.observation_sizes), agent.model.shape.n_actions
    states = torch.stack([history.states[history.valid], history.next_states[history.valid]])
    actions = history.actions[history.valid]
    whole = not states.is_floating_point() or bool((states == states.round()).all())
    if not whole or states.shape[2] != len(sizes) or ((states < 0) | (states >= states.new_tensor(sizes))).any():
        raise _unfit(f"states of {len(sizes)} whole numbers below {' and '.join(map(str, sizes))}")
    if ((actions < 0) | (actions >= n_actions)).any():
        raise _unfit(f"actions from 0 to {n_actions - 1}, as numbers or one-hot")
    # The agent reads whole numbers; what stands at the gaps must be a state that it knows, and is not looked at.
    gap = ~history.valid
    clean = History(
        states=history.states.long().masked_fill(gap[..., None], 0),
        actions=history.actions.masked_fill(gap, 0),
        rewards=history.rewards.float().masked_fill(gap, 0),
        next_states=history.next_states.long().masked_fill(gap[..., None], 0),
        times=history.times,
        valid=history.valid,
    )
    if query_states is None:
        last = (history.valid * torch.arange(1, history.valid.shape[1] + 1, device=gap.device)).argmax(dim=1)
        query_states = clean.next_states[torch.arange(len(last), device=last.device), last]
    with torch.no_grad():
        return agent.attention(clean, query_states)


class _AsksTheAgent(Compressor):
    """Attention that is not given is the embedded agent's to this very history."""

    def compress(
        self,
        states: Array,
        actions: Array,
        rewards: Array,
        next_states: Array,
        *,
        attention: Array | None = None,
        mask: Array | None = None,
    ) -> Compressed:
        """As every compressor does; without `attention`, by the embedded agent's from the last next state.

        Raises:
            InputError: as there; no attention was given, and the embedded agent knows no such states or actions.
        """
        if attention is None:
            weights = attention_to(as_history(states, actions, rewards, next_states, None, mask))
            attention = weights.to(states.device) if isinstance(states, Tensor) else weights.numpy()
        return super().compress(states, actions, rewards, next_states, attention=attention, mask=mask)


class AttentionBasedCompressor(_AsksTheAgent, attention_based.AttentionBasedCompressor):
    __doc__ = attention_based.AttentionBasedCompressor.__doc__


class AdaptiveCompressor(_AsksTheAgent, adaptive.AdaptiveCompressor):
    __doc__ = adaptive.AdaptiveCompressor.__doc__


class ThresholdCompressor(_AsksTheAgent, threshold.ThresholdCompressor):
    __doc__ = threshold.ThresholdCompressor.__doc__


def _unfit(takes: str) -> InputError:
    return InputError(f"no attention was given, and the embedded agent takes {takes}; pass attention=...")


def __getattr__(name: str) -> type[Compressor]:
    """A compressor that is no name above: adding one is adding one file."""
    by_class = {compressor.__name__: compressor for compressor in compressors().values()}
    if name not in by_class:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return by_class[name]
