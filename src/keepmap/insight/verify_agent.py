"""Insights into an agent, tested by deletion: its histories are shortened, with the true ages, and it acts."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.agents.acting import Agent, Context, as_context, decide
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.families import copies_of
from keepmap.agents.history import Selection, shorten
from keepmap.attention import AttentionProfile, Indices, profile_attention
from keepmap.core.metrics import divergence, negative_log_likelihood
from keepmap.core.progress import Progress, part_of
from keepmap.core.runs.units import Once, Recorded, every_time
from keepmap.errors import ImpossibleResultError, InputError
from keepmap.insight.agent_subject import COMPRESSORS, AgentSubject, CompressorSuggestion
from keepmap.insight.coverage import SHARE
from keepmap.insight.deletions import Choice, Deletions, at_random, by_pattern, by_share
from keepmap.insight.guide import guide_insight
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import suggest
from keepmap.insight.verification import DRAWS, Compared, LeftOut, Trial, Verification, compared

__all__ = ["costs_of", "verify_agent"]

_SUBJECT = AgentSubject()

PLAYED_DRAWS = 3
WHOLE = "whole"
COPIES = 4
"""Agents that play each held-out goal."""


def verify_agent(
    agent: Agent,
    contexts: Sequence[Context],
    *,
    share: float = SHARE,
    draws: int = DRAWS,
    episodes: int = 20,
    layers: Indices = None,
    seed: int = 0,
    progress: Progress | None = None,
    recorded: Recorded | None = None,
) -> Verification:
    """Drop from histories what the insights into each layer say can go, and as much at random.

    A history is shared by all layers: what a layer's insight drops is gone for all, as under a compressor. The newest
    transition stays in both arms, as without it most agents are lost, whatever else is kept. Costs are in nats: the KL
    of the action distribution whole || shortened, and what the action that the learner took loses in log-likelihood.

    What an agent that acts with a compressor sees is what the compressor leaves; its contexts are to be that already.

    The overall suggestion and the guide's (that of the last layer, as its document advises) then play held-out goals,
    against the newest transition and others at random, as many together (the mean of three draws), and against a rival
    that keeps as many: the most recent, or evenly spaced ones where these are suggested. An agent with a compressor of
    its own would have to be trained with another one first: it plays none.

    Args:
        share: of the attention that our verdicts keep; a verdict for a layer is that on the mean over its heads.
        draws: random choices for each trial; their mean cost is compared.
        episodes: that are played; 0 plays none. layers: whose insights are tested, all by default.
        progress: called with the share of the work that is done.
        recorded: what keeps the costs of each context, and the returns of each compressor that plays.

    Raises:
        InputError: no contexts, or as in `profile_attention`.
    """
    if not contexts:
        raise InputError("expected `contexts` to be one or more, got none")
    if any(context.goal is None or context.action is None for context in contexts):
        raise InputError(
            "expected `contexts` to have their goal and the learner's action, got one without; take them by "
            "keepmap.context_at"
        )
    profiles = [profile_attention(agent, context, layers=layers, queries="last", hold=False) for context in contexts]
    guides = [guide_insight([profile.guide_statistics(layer) for profile in profiles]) for layer in profiles[0].layers]
    deletions = Deletions(guides, share, draws, seed)
    suggestion = suggest(profiles, share=share)
    tested = {"guide": guides[-1].suggested, "ours": suggestion} if episodes and agent.compressor is None else {}
    once = every_time if recorded is None else recorded(_units(agent, len(contexts), tested))
    goals = sorted({context.goal for context in contexts if context.goal is not None})
    work = len(contexts) + len(contexts) * len(tested)
    trials: list[Trial] = []
    left_out = LeftOut()
    for sample, (context, profile) in enumerate(zip(contexts, profiles, strict=True)):
        assert context.goal is not None
        choices = _choices(profile, deletions, left_out)
        trials += _trials(agent, context, choices, deletions, sample, goals.index(context.goal), once)
        part_of(progress, sample, work)(1.0)
    skipped, results = list(left_out.lines(len(contexts))), list[Compared]()
    if agent.compressor is not None:
        skipped.append(f"returns: the agent acts with {agent.compressor.name}; train one with what is suggested")
    elif tested and not agent.held_out:
        skipped.append("returns: the agent has no held-out goals to play")
    elif tested:
        whole = _returns(agent, None, episodes, seed, WHOLE, once)
        for number, (rule, tried) in enumerate(tested.items(), start=1):
            if _drops(agent, tried):
                results.append(_compared(agent, rule, tried, whole, episodes, seed, once))
            else:
                kept = f"{tried.keep} of {agent.config.n_transit}"
                skipped.append(f"returns, {rule}: {kept} are kept: nothing is dropped")
            part_of(progress, number, 1 + len(tested))(1.0)
    return Verification(
        host=_SUBJECT.host,
        costs=_SUBJECT.costs,
        trials=tuple(trials),
        skipped=tuple(skipped),
        suggestion=suggestion,
        compared=tuple(results),
        n_samples=len(contexts),
        n_draws=draws,
        seed=seed,
    )


def _drops(agent: Agent, tried: Suggestion) -> bool:
    return tried.keep < agent.config.n_transit


def _units(agent: Agent, contexts: int, tested: Mapping[str, Suggestion]) -> list[str]:
    """What the pieces of work are called whose results may be kept."""
    played = [WHOLE] if tested and agent.held_out else []
    for rule, tried in tested.items():
        if played and _drops(agent, tried):
            played += [rule, _rival(rule), *(_drawn(rule, draw) for draw in range(PLAYED_DRAWS))]
    return [*map(_trials_unit, range(contexts)), *map(_returns_unit, played)]


def _trials_unit(sample: int) -> str:
    return f"verification/sample{sample}.json"


def _returns_unit(player: str) -> str:
    return f"verification/returns_{player}.json"


def _rival(rule: str) -> str:
    return f"{rule}_rival"


def _drawn(rule: str, draw: int) -> str:
    return f"{rule}_random{draw}"


def costs_of(agent: Agent, context: Context, kept: Bool[Tensor, "B n"]) -> dict[str, Float[np.ndarray, " B"]]:
    """In nats, what it costs that the agent remembers of a context only what each row keeps.

    Args:
        kept: over the n valid transitions of the context.
    """
    whole_context = as_context(context, agent.room.horizon)
    history, states, now = whole_context.history, whole_context.query_states, whole_context.now
    rows = len(kept)
    many = history.map(lambda part: part.expand(rows, *part.shape[1:]))
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, int(kept.sum(1).max()))]
    short = shorten(many, Selection(order, kept.gather(1, order)))
    with torch.inference_mode():
        whole = decide(agent.model, history, states, now).expand(rows, -1)
        logits = decide(agent.model, short, states.expand(rows, -1), now.expand(rows))
    assert context.action is not None
    taken = torch.full((rows,), context.action)
    lost = negative_log_likelihood(logits, taken) - negative_log_likelihood(whole, taken)
    costs = {"kl": divergence(whole, logits).numpy(), "log_likelihood": lost.numpy()}
    if not all(np.isfinite(values).all() for values in costs.values()):
        raise ImpossibleResultError("the agent's logits are not finite; its weights are damaged")
    return costs


def _choices(profile: AttentionProfile, deletions: Deletions, left_out: LeftOut) -> list[tuple[int, str, Choice]]:
    """Layer, rule and what it keeps of the transitions before the query, where it drops some and keeps some."""
    layers, heads, n = profile.shape
    stays, choices = _newest(n - 1), list[tuple[int, str, Choice]]()
    for at in range(layers):
        shares = _SUBJECT.shares(profile, at, range(heads))
        guide = deletions.guides[at]
        by_rule = {
            "guide": by_pattern(guide.pattern, guide.suggested.keep, shares.positions, stays),
            "ours": by_share(shares, deletions.share, stays),
        }
        for rule, choice in by_rule.items():
            if not left_out.notes(profile.layers[at], rule, int(choice.kept.sum()), int((~stays).sum())):
                choices.append((profile.layers[at], rule, choice))
    return choices


def _newest(n: int) -> Bool[Tensor, " n"]:
    """The newest of n transitions, which stays in any case."""
    stays = torch.zeros(n, dtype=torch.bool)
    stays[-1:] = True
    return stays


def _trials(
    agent: Agent,
    context: Context,
    choices: Sequence[tuple[int, str, Choice]],
    deletions: Deletions,
    sample: int,
    group: int,
    once: Once,
) -> list[Trial]:
    """The trials of one sample."""
    costs = once(_trials_unit(sample), partial(_costs, agent, context, choices, deletions, sample))
    return [
        Trial(
            layer=layer,
            sample=sample,
            group=group,
            rule=rule,
            pattern=choice.pattern,
            kept=int(choice.kept.sum()),
            of=len(choice.kept) - 1,  # the newest stays
            **of_trial,
        )
        for (layer, rule, choice), of_trial in zip(choices, costs, strict=True)
    ]


def _costs(
    agent: Agent, context: Context, choices: Sequence[tuple[int, str, Choice]], deletions: Deletions, sample: int
) -> list[dict[str, dict[str, float]]]:
    """Of each choice, "cost" and "random": costs by their names; all of them in one batch."""
    if not choices:
        return []
    stays, arms = _newest(len(choices[0][2].kept)), list[Tensor]()
    for layer, rule, choice in choices:
        rng = deletions.generator(sample, layer, rule)
        drawn = [at_random(choice.kept[None], stays, rng)[0] for _ in range(deletions.draws)]
        arms.append(torch.stack([choice.kept, *drawn]) | stays)
    costs = costs_of(agent, context, torch.cat(arms))
    by_trial = {name: values.reshape(len(choices), deletions.draws + 1) for name, values in costs.items()}
    return [
        {
            "cost": {name: float(values[number, 0]) for name, values in by_trial.items()},
            "random": {name: float(values[number, 1:].mean()) for name, values in by_trial.items()},
        }
        for number in range(len(choices))
    ]


def _returns(
    agent: Agent, compressor: Compressor | None, episodes: int, seed: int, player: str, once: Once
) -> Float[np.ndarray, " G"]:
    """Of each held-out goal, the mean return over copies and episodes."""

    def work() -> list[float]:
        goals = [goal for goal in agent.held_out for _ in range(COPIES)]
        played = agent.play(copies_of(agent.room, goals), episodes, seed=seed, compressor=compressor)
        means: list[float] = played.reshape(len(agent.held_out), -1).mean(1).tolist()
        return means

    return np.array(once(_returns_unit(player), work))


def _compared(
    agent: Agent, rule: str, tried: Suggestion, whole: Float[np.ndarray, " G"], episodes: int, seed: int, once: Once
) -> Compared:
    assert isinstance(tried, CompressorSuggestion)
    suggested = _returns(agent, tried.compressor, episodes, seed, rule, once)
    drawn = [
        _returns(agent, RandomCompressor(tried.keep, seed + draw), episodes, seed, _drawn(rule, draw), once)
        for draw in range(PLAYED_DRAWS)
    ]
    # The most recent are the simplest choice; where they are what is suggested, evenly spaced ones stand beside them.
    simplest = COMPRESSORS["uniform" if tried.name == COMPRESSORS["recency"].name else "recency"]
    rival = _returns(agent, simplest.of_length(tried.keep), episodes, seed, _rival(rule), once)
    random = np.mean(drawn, axis=0)
    beside = (simplest.name, rival)
    return compared(rule, tried, "return", whole, suggested, random, beside, more_is_better=True)
