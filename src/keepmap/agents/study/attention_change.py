"""How the attention of an agent changes when its histories are shortened: on fixed histories of held-out goals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.agents.acting.agent import Agent
from keepmap.agents.acting.context import Context
from keepmap.agents.acting.rollout import decide
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.families import copies_of
from keepmap.agents.history import History, Selection, shorten
from keepmap.agents.study.tally import watched

__all__ = ["AttentionChange", "attention_change", "moments"]

COPIES = 2
LENGTHS = (0.5, 1.0, 1.5, 2.0)
"""When histories are taken: after so many windows' worth of steps, and half an episode."""


@dataclass(frozen=True, eq=False)
class AttentionChange:
    """Of each of G goals, means over its histories.

    Attributes:
        distance: total variation, in [0, 1], between the agent's attention over what is kept and the baseline's over
            the same transitions of the whole history; both renormalised.
        entropy, baseline_entropy: of the two, over ln of how many are kept; 1 is uniform. NaN where it always is one.
        nats, recent_distant: of the baseline over the whole history: the entropy, and the mean attention of the last
            quarter over that of the first.
    """

    distance: Float[np.ndarray, " G"]
    entropy: Float[np.ndarray, " G"]
    baseline_entropy: Float[np.ndarray, " G"]
    nats: Float[np.ndarray, " G"]
    recent_distant: Float[np.ndarray, " G"]


def moments(agent: Agent, seed: int = 0) -> tuple[Context, ...]:
    """What an agent has before it at some moments while it learns its held-out goals, two copies of each."""
    size, horizon = agent.config.n_transit, agent.room.horizon
    steps = {round(size * length) + horizon // 2 for length in LENGTHS}
    seen: list[Context] = []
    step = 0

    def see(history: History, _: Selection) -> None:
        nonlocal step
        if step in steps and step > 0:
            # A window's parts are views, which change under its feet.
            taken = history.map(torch.clone)
            seen.append(Context(taken, taken.next_states[:, -1], taken.times[:, -1] + 1))
        step += 1

    goals = [goal for goal in agent.held_out for _ in range(COPIES)]
    episodes = -(-(max(steps) + 1) // horizon)
    agent.play(
        copies_of(agent.room, goals),
        episodes,
        seed=seed,
        compressor=watched(RecencyCompressor(size), see),
    )
    return tuple(seen)


def attention_change(
    agent: Agent, baseline: Agent, compressor: Compressor | None, seen: Sequence[Context]
) -> AttentionChange:
    """How an agent's attention over what a compressor keeps differs from the baseline's over the same transitions.

    Args:
        compressor: None for the whole history.
        seen: of the baseline's held-out goals, as `moments` gives them.
    """
    parts: dict[str, list[Float[Tensor, " B"]]] = {name: [] for name in AttentionChange.__dataclass_fields__}
    for moment in seen:
        whole, n = moment.history, moment.history.valid.shape[1]
        before = _attention(baseline, whole, moment)
        quarter = max(1, n // 4)
        parts["nats"].append(_entropy(_normed(before)))
        parts["recent_distant"].append(before[:, -quarter:].mean(1) / before[:, :quarter].mean(1))
        kept = Selection(torch.arange(n).expand_as(whole.times), whole.valid)
        if compressor is not None:
            attention = _attention(agent, whole, moment) if compressor.needs_attention else None
            kept = compressor.select(replace(whole, attention=attention).at(moment.query_states))
        short = shorten(whole, kept)
        now = _normed(_attention(agent, short, moment) * kept.mask)
        then = _normed(before.gather(1, kept.indices) * kept.mask)
        most = kept.mask.sum(1).double().log()
        parts["distance"].append((now - then).abs().sum(1) / 2)
        parts["entropy"].append(_entropy(now) / most)
        parts["baseline_entropy"].append(_entropy(then) / most)
    goals = len(baseline.held_out)

    def by_goal(name: str) -> Float[np.ndarray, " G"]:
        return torch.stack(parts[name]).unflatten(1, (goals, COPIES)).transpose(0, 1).flatten(1).nanmean(1).numpy()

    return AttentionChange(**{name: by_goal(name) for name in parts})


def _attention(agent: Agent, history: History, moment: Context) -> Float[Tensor, "B n"]:
    """Of the query state to each transition: the mean over layers and heads. Its time is the true one, also where the
    newest transition was dropped."""
    weights: list[Float[Tensor, "B n"]] = []
    with torch.inference_mode():
        decide(
            agent.model,
            history,
            moment.query_states,
            moment.now,
            lambda seen: weights.append(seen[:, :, -1, :-1].mean(1)),
        )
    return torch.stack(weights).mean(0).double()


def _normed(weights: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
    return weights / weights.sum(1, keepdim=True)


def _entropy(shares: Float[Tensor, "B n"]) -> Float[Tensor, " B"]:
    return torch.special.entr(shares).sum(1)
