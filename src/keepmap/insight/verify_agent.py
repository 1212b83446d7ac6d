"""Insights into an agent, tested by deletion: its histories are shortened, with the true ages, and it acts."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.agents.acting.agent import Agent
from keepmap.agents.acting.context import Context, as_context
from keepmap.agents.acting.rollout import decide
from keepmap.agents.compressor import Compressor, make_compressor
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.history import Selection, shorten
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.attention.request import Indices
from keepmap.core.metrics import divergence, negative_log_likelihood
from keepmap.core.progress import Progress, part_of
from keepmap.errors import ImpossibleResultError, InputError
from keepmap.insight.coverage import SHARE
from keepmap.insight.deletion_control import NewestAndRandom
from keepmap.insight.deletions import Choice, at_random, by_pattern, by_share
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import GuideInsight, attention_rows, guide_insight, suggest
from keepmap.insight.verification import DRAWS, RULES, Compared, LeftOut, Trial, Verification, compared

__all__ = ["costs_of", "verify_agent"]

PLAYED_DRAWS = 3
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
) -> Verification:
    """Drop from histories what the insights into each layer say can go, and as much at random.

    A history is shared by all layers: what a layer's insight drops is gone for all, as under a compressor. The newest
    transition stays in both arms, as without it most agents are lost, whatever else is kept. Costs are in nats: the KL
    of the action distribution whole || shortened, and what the action that the learner took loses in log-likelihood.

    What an agent that acts with a compressor sees is what the compressor leaves; its contexts are to be that already.

    The overall suggestion and the guide's (that of the last layer, as its document advises) then play held-out goals,
    against the newest transition and others at random, as many together (the mean of three draws). An agent with a
    compressor of its own would have to be trained with another one first: it plays none.

    Args:
        share: of the attention that our verdicts keep; a verdict for a layer is that on the mean over its heads.
        draws: random choices for each trial; their mean cost is compared.
        episodes: that are played; 0 plays none. layers: whose insights are tested, all by default.
        progress: called with the share of the work that is done.

    Raises:
        InputError: no contexts, or as in `profile_attention`.
    """
    if not contexts:
        raise InputError("expected `contexts` to be one or more, got none")
    if any(context.goal is None or context.action is None for context in contexts):
        raise InputError(
            "expected `contexts` with their goal and the learner's action, got one without; take them by context_at"
        )
    profiles = [profile_attention(agent, one, layers=layers, queries="last", hold=False) for one in contexts]
    guides = [guide_insight([one.guide_statistics(layer) for one in profiles]) for layer in profiles[0].layers]
    suggestion = suggest(profiles, share=share)
    tested = {"guide": guides[-1].suggested, "ours": suggestion} if episodes and agent.compressor is None else {}
    goals = sorted({context.goal for context in contexts if context.goal is not None})
    work = len(contexts) + len(contexts) * len(tested)
    trials: list[Trial] = []
    left_out = LeftOut()
    for sample, (context, profile) in enumerate(zip(contexts, profiles, strict=True)):
        assert context.goal is not None
        group = goals.index(context.goal)
        trials += _trials(agent, context, profile, sample, group, guides, share, draws, seed, left_out)
        part_of(progress, sample, work)(1.0)
    skipped, results = list(left_out.lines(len(contexts))), list[Compared]()
    if agent.compressor is not None:
        skipped.append(f"returns: the agent acts with {agent.compressor.name}; train one with what is suggested")
    elif tested and not agent.held_out:
        skipped.append("returns: the agent has no held-out goals to play")
    elif tested:
        whole = _returns(agent, None, episodes, seed)
        for number, (rule, made) in enumerate(tested.items(), start=1):
            if made.keep < agent.config.n_transit:
                results.append(_compared(agent, rule, made, whole, episodes, seed))
            else:
                skipped.append(f"returns, {rule}: {made.keep} of {agent.config.n_transit} are kept: nothing is dropped")
            part_of(progress, number, 1 + len(tested))(1.0)
    return Verification(
        host="agent",
        costs=("kl", "log_likelihood"),
        trials=tuple(trials),
        skipped=tuple(skipped),
        suggestion=suggestion,
        compared=tuple(results),
        n_samples=len(contexts),
        n_draws=draws,
        seed=seed,
    )


def costs_of(agent: Agent, context: Context, kept: Bool[Tensor, "B n"]) -> dict[str, Float[np.ndarray, " B"]]:
    """In nats, what it costs that the agent remembers of a context only what each row keeps.

    Args:
        kept: over the n valid transitions of the context.
    """
    looked = as_context(context, agent.room.horizon)
    history, states, now = looked.history, looked.query_states, looked.now
    rows = len(kept)
    many = history.map(lambda part: part.expand(rows, *part.shape[1:]))
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, int(kept.sum(1).max()))]
    short = shorten(many, Selection(order, kept.gather(1, order)))
    with torch.inference_mode():
        whole = decide(agent.model, history, states, now).expand(rows, -1)
        logits = decide(agent.model, short, states.expand(rows, -1), now.expand(rows))
    assert context.action is not None
    took = torch.full((rows,), context.action)
    lost = negative_log_likelihood(logits, took) - negative_log_likelihood(whole, took)
    found = {"kl": divergence(whole, logits).numpy(), "log_likelihood": lost.numpy()}
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ImpossibleResultError("the agent's logits are no numbers; its weights are damaged")
    return found


def _trials(
    agent: Agent,
    context: Context,
    profile: AttentionProfile,
    sample: int,
    group: int,
    guides: Sequence[GuideInsight],
    share: float,
    draws: int,
    seed: int,
    left_out: LeftOut,
) -> list[Trial]:
    """One sample's, all of them in one batch."""
    layers, heads, n = profile.shape
    stays = torch.zeros(n - 1, dtype=torch.bool)
    stays[-1:] = True
    found: list[tuple[int, str, Choice, Bool[Tensor, "R n"]]] = []
    for at in range(layers):
        row, given, _ = attention_rows(profile, at, range(heads))
        choices = {
            "guide": by_pattern(guides[at].pattern, guides[at].suggested.keep, row, stays),
            "ours": by_share(row, given, share, stays),
        }
        for rule, choice in choices.items():
            layer = profile.layers[at]
            if left_out.notes(layer, rule, int(choice.kept.sum()), int((~stays).sum())):
                continue
            rng = np.random.default_rng([seed, sample, layer, RULES.index(rule)])
            drawn = [at_random(choice.kept[None], stays, rng)[0] for _ in range(draws)]
            found.append((layer, rule, choice, torch.stack([choice.kept, *drawn]) | stays))
    if not found:
        return []
    costs = costs_of(agent, context, torch.cat([arms for *_, arms in found]))
    by_trial = {name: values.reshape(len(found), draws + 1) for name, values in costs.items()}
    return [
        Trial(
            layer=layer,
            sample=sample,
            group=group,
            rule=rule,
            pattern=choice.pattern,
            kept=int(choice.kept.sum()),
            of=int((~stays).sum()),
            cost={name: float(values[number, 0]) for name, values in by_trial.items()},
            random={name: float(values[number, 1:].mean()) for name, values in by_trial.items()},
        )
        for number, (layer, rule, choice, _) in enumerate(found)
    ]


def _returns(agent: Agent, compressor: Compressor | None, episodes: int, seed: int) -> Float[np.ndarray, " G"]:
    """Of each held-out goal, the mean return over copies and episodes."""
    goals = [goal for goal in agent.held_out for _ in range(COPIES)]
    envs = RoomVectorEnv(agent.room, len(goals), goals)
    played = agent.play(envs, episodes, seed=seed, compressor=compressor)
    return played.reshape(len(agent.held_out), -1).mean(1)


def _compared(
    agent: Agent, rule: str, made: Suggestion, whole: Float[np.ndarray, " G"], episodes: int, seed: int
) -> Compared:
    ours = _returns(agent, make_compressor(made.name, made.options), episodes, seed)
    drawn = [_returns(agent, NewestAndRandom(made.keep, seed + draw), episodes, seed) for draw in range(PLAYED_DRAWS)]
    random = np.mean(drawn, axis=0)
    return compared(rule, made, "return", whole, ours, random, ours - random)
