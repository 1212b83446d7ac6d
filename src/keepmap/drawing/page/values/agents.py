"""What agents learned in their context, on the page: returns, a study of compressors, and one history.

The class of a Context loads agents, and is known by name here.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from keepmap.agents.compressor import compressors
from keepmap.agents.evaluation.returns import EARLY, Evaluation, curve
from keepmap.agents.study.results import BASELINE, NEARLY_ALL, Study, StudyRow
from keepmap.core.files import plain
from keepmap.core.labels import model_label
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.values.raster import by_episode, raster
from keepmap.drawing.page.values.shown import Shown, added_floats, table_of, that_needs
from keepmap.errors import counted

__all__ = ["shown_context", "shown_evaluation", "shown_study"]

MOST_BINS = 200
"""Points of a curve; more episodes than that are means of several."""


def shown_evaluation(evaluation: Evaluation, arrays: Arrays, folder: str | None) -> Shown:
    """What the page shows of an evaluation: how returns grow from episode to episode, over goals and of each."""
    bins = min(MOST_BINS, evaluation.episodes)
    edges = np.arange(bins + 1) * evaluation.episodes // bins
    mean, low, high = (None if part is None else plain(part) for part in curve([evaluation], edges))
    best = float(np.mean(evaluation.optimum))
    solved = f"{sum(evaluation.success)} of {len(evaluation.goals)} goals are solved at the end"
    early = "" if evaluation.early is None else f", {evaluation.early} in episodes {EARLY[0]} to {EARLY[1]}"
    label = _agents(evaluation)
    return Shown(
        caption=f"{label}: {evaluation.caption}",
        verdict=f"The agent's mean return is {evaluation.estimate()} of {best:.2f} at best{early}; {solved}.",
        model=label,
        python=(*that_needs("evaluation", "read_evaluation", folder, "`keepmap evaluate`"), "evaluation.returns"),
        settings=evaluation.options,
        table=_goals(evaluation),
        parts={
            "agent": {
                "curve": {"edges": edges.tolist(), "mean": mean, "low": low, "high": high, "best": best},
                "goals": [str(row["goal"]) for row in evaluation.rows],
                "episodes": evaluation.episodes,
                "optimum": list(evaluation.optimum),
                "returns": added_floats(_binned(evaluation.returns, edges), arrays),
            }
        },
    )


def shown_study(study: Study, folder: str | None) -> Shown:
    """What the page shows of a study: what each compressor keeps of the baseline's return, at each length."""
    broken = sum(promise["holds"] is False for promise in study.promises)
    return Shown(
        caption=study.caption,
        verdict=_study_verdict(study),
        model=", ".join(map(str, study.options.get("checkpoints", ()))),
        warnings=[f"Of {len(study.promises)} promises of the guide, {broken} do not hold: see below."] * (broken > 0),
        python=(*that_needs("study", "read_study", folder, "`keepmap study`"), "study.rows"),
        settings=study.options,
        table=_study_table(study),
        more=[_promises(study)] if study.promises else [],
        parts={
            "agent": {
                "front": [
                    {
                        "compressor": row.compressor,
                        "words": _front_words(row),
                        "trained": row.trained,
                        "ratio": row.ratio,
                        "mean": row.share.mean,
                        "low": row.share.low,
                        "high": row.share.high,
                    }
                    for row in study.results
                    if row.compressor != BASELINE and row.share is not None
                ],
                "level": 1.0,
                "return": "share of the baseline's return",
                "about": (
                    "What compressors keep of the baseline's return (the dashed line), against how much of the history "
                    "they keep. Filled marks were trained with the compressor, hollow ones only played with it."
                ),
            }
        },
    )


def _study_verdict(study: Study) -> str:
    """Who keeps nearly all of the baseline's return where histories are shortest, trained with it and in rollout."""
    rows = [row for row in study.results if row.compressor != BASELINE and row.share is not None]
    if not rows:
        return "No compressor beside the whole history was measured."
    shortest, parts = max(row.percent for row in rows), []
    for trained, how in ((True, "after training with it"), (False, "in rollout only")):
        own = [row for row in rows if (row.percent, row.trained) == (shortest, trained)]
        keeping = [row.compressor for row in own if row.share is not None and row.share.mean >= NEARLY_ALL]
        names = f" ({', '.join(keeping)})" if keeping else ""
        if own:
            parts.append(f"{len(keeping)} of {counted(len(own), 'compressor')} {how}{names}")
    return (
        f"{shortest:g} % shorter, {NEARLY_ALL:.0%} or more of the baseline's return is kept by "
        f"{', and by '.join(parts)}; {counted(rows[0].early.n, 'held-out goal')}."
    )


def _promises(study: Study) -> dict[str, Any]:
    columns = [("promised", "", "words"), ("of", "", "words"), ("measured", "", "words"), ("holds", "", "words")]
    words = {True: "yes", False: "no", None: "not shown"}
    rows = [
        [promise["promised"], promise["of"], promise["measured"], words[promise["holds"]]] for promise in study.promises
    ]
    return table_of("What the guide promised", columns, rows)


def _front_words(row: StudyRow) -> str:
    assert row.share is not None
    how = "trained with it" if row.trained else "in rollout only"
    ends = "" if row.share.low is None else f" ({row.share.low:.1%} … {row.share.high:.1%})"
    return f"{row.compressor}, {row.percent:g} % shorter, {how}: {row.share.mean:.1%} of the baseline's return{ends}"


def shown_context(context: Any, target_length: int) -> Shown:
    """What the page shows of one history: every transition by episode and step, and which of them compressors hold."""
    valid = context.history.valid[0]
    history = context.history.map(lambda part: part[:1, valid]).at(context.query_states[:1])
    held, without = dict[str, list[bool]](), []
    for name, known in compressors().items():
        lacks = {
            "the agent's attention": known.needs_attention and history.attention is None,
            "where episodes end": known.needs_episodes and history.dones is None,
        }
        if any(lacks.values()):
            without += [f"{name} ({part})" for part, is_so in lacks.items() if is_so]
            continue
        selection = known.of_length(target_length).select(history)
        kept = set(selection.indices[selection.mask].tolist())
        held[name] = [at in kept for at in range(len(history.times[0]))]
    rewards = history.rewards[0].tolist()
    rewarded = sum(reward != 0 for reward in rewards)
    others = len(context.history.valid) - 1
    dones = None if history.dones is None else history.dones[0].tolist()
    return Shown(
        caption=(
            f"{counted(len(rewards), 'transition')} of a learner"
            + (f", goal {context.goal}" if context.goal else "")
            + (f"; the first of {others + 1} histories" if others else "")
        ),
        verdict=(
            f"{len(rewards):,} transitions, {rewarded:,} of them rewarded, and which of them each compressor holds, "
            f"at most {target_length:,}."
        ),
        warnings=[f"Not here, for the history lacks what they need: {', '.join(without)}."] if without else [],
        python=(
            "# Needs `context`, which was in memory alone when this page was written.",
            "# keepmap.context_at makes one of the file of histories that `keepmap collect` writes.",
            "context.history.table()",
        ),
        settings={name: getattr(context, name) for name in ("goal", "learner", "step")} | {"length": target_length},
        table=table_of(
            "What each compressor holds",
            [("compressor", "", "words"), ("held", "transitions", "whole"), ("rewarded", "of those", "whole")],
            [
                [name, sum(kept), sum(is_kept and reward != 0 for is_kept, reward in zip(kept, rewards, strict=True))]
                for name, kept in held.items()
            ],
        ),
        parts={
            "agent": {
                "raster": raster(
                    *by_episode(dones, len(rewards)),
                    rewards,
                    states=[str(tuple(state)) for state in history.states[0].tolist()],
                    actions=[str(action) for action in history.actions[0].tolist()],
                    held=held,
                )
            }
        },
    )


def _agents(evaluation: Evaluation) -> str:
    """The names of the agents that played, as figures have them."""
    entries = evaluation.options.get("checkpoints")
    named = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries or ()]
    return ", ".join(dict.fromkeys(map(model_label, named))) or "an agent"


def _binned(returns: Float[np.ndarray, "G E"], edges: Integer[np.ndarray, " edges"]) -> Float[np.ndarray, "G bins"]:
    return np.add.reduceat(returns, edges[:-1], axis=1) / np.diff(edges)


def _goals(evaluation: Evaluation) -> dict[str, Any]:
    columns = [
        ("goal", "", "words"),
        ("mean return", "over all episodes and copies", "number"),
        ("at best", "the return of an agent that knows the goal", "number"),
        ("share", "of the best", "share"),
        ("last 20", "the mean of the last 20 episodes", "number"),
        ("solved", "the last 20 have 90 % of the best", "words"),
    ]
    rows = [[*list(row.values())[:-1], "yes" if row["solved"] else "no"] for row in evaluation.rows]
    return table_of("Goal by goal", columns, rows)


def _study_table(study: Study) -> dict[str, Any]:
    columns = [
        ("compressor", "", "words"),
        ("shorter", "by so many per cent of the window", "whole"),
        ("trained with it", "or in rollout alone", "words"),
        ("return", f"mean of episodes {EARLY[0]} to {EARLY[1]}", "number"),
        ("share", "of the baseline's return", "share"),
        ("95 % interval", "of the share, over goals and seeds", "shares"),
        ("solved", "share of the goals", "share"),
        ("kept", "transitions kept, of those there were", "share"),
        ("operations saved", "where nothing is cached", "share"),
        ("bytes saved", "negative is more", "share"),
    ]
    rows = []
    for row in study.results:
        share = (None, None, None) if row.share is None else (row.share.mean, row.share.low, row.share.high)
        trained = "yes" if row.trained else "no"
        means = [row.early.mean, share[0], list(share[1:]), row.solved, row.ratio, row.saved_flops, row.saved_bytes]
        rows.append([row.compressor, row.percent, trained, *means])
    return table_of(study.caption, columns, rows)
