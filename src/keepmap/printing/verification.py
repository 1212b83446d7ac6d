"""What a verification says, in lines of 80 columns and some of code."""

from keepmap.errors import counted
from keepmap.insight import ALIKE, COSTS, HELD, RULES, SUBJECTS, WORSE, Compared, Difference, Verification

__all__ = ["verification_lines"]

_WORDS = {HELD: "held", WORSE: "refuted", ALIKE: "refuted*"}


def verification_lines(verification: Verification) -> tuple[str, ...]:
    """Each insight with what its deletion cost, how often each rule held, and the overall suggestions."""
    subject = SUBJECTS[verification.host]
    samples, groups = subject.samples, subject.groups
    lines = [
        f"TESTED BY DELETION: {verification.host}, {counted(verification.n_samples, samples.removesuffix('s'))}, "
        f"{counted(verification.n_draws, 'random draw')} each",
        f"Cost in nats: {COSTS[verification.costs[0]]}. Saved: random's cost less",
        f"the rule's, with its 95 % interval over {groups} (none of fewer than 3).",
        "",
        "rule  pattern kept    cost  random    saved [95 % interval]        n",
    ]
    above = None
    for insight in verification.insights:
        if insight.layer != above:
            lines.append(f"layer {insight.layer}")
        above = insight.layer
        low, high = ("-" if end is None else _short(end, "+") for end in (insight.low, insight.high))
        lines.append(
            f"{insight.rule:5} {insight.pattern:7} {insight.kept:4.0%} {_short(insight.cost):>7} "
            f"{_short(insight.random):>7} "
            f"{_short(insight.saved, '+'):>8} {f'[{low},{high}]':19} {insight.n:3} {_WORDS[insight.word]}"
        )
    lines += ["", "refuted: random is better. refuted*: not distinguishable from random."]
    lines += verification.skipped
    for cost in verification.costs:
        lines += ["", f"Cheaper than random, by {COSTS[cost]}:"]
        for rule in RULES:
            rate, insights = verification.rate(rule, cost), verification.insights_by(cost)
            own = [insight for insight in insights if insight.rule == rule]
            if not own:
                lines.append(f"   {rule}: no trials")
                continue
            ends = "" if rate.low is None or rate.high is None else f" [{rate.low:.0%}, {rate.high:.0%}]"
            lines.append(
                f"   {rule}: {rate.wins} of {rate.n} trials ({rate.wins / rate.n:.0%}{ends}); "
                f"{sum(insight.held for insight in own)} of {len(own)} insights held"
            )
    for overall in verification.compared:
        lines += ["", *_compared_lines(overall, groups)]
    return tuple(lines)


def _short(value: float, sign: str = "") -> str:
    """Two digits that count: costs span many orders of magnitude."""
    return f"{value:{sign}.2g}"


def _compared_lines(overall: Compared, groups: str) -> list[str]:
    saved, rival = Difference(overall.saved, overall.low, overall.high), overall.rival
    return [
        f"{overall.rule}, overall:",
        *overall.suggestion.code,
        f"   {overall.unit}: whole {overall.whole:.3f}, suggested {overall.suggested:.3f}, random {overall.random:.3f} "
        f"({overall.n} {groups})",
        *([] if overall.lost is None else [f"   lost against the whole: {overall.lost}"]),
        f"   better than random by {saved}",
        f"   {overall.word}" + " (better than random)" * overall.held,
        *(
            []
            if rival is None
            else [
                f"   {rival.name}, which keeps as many, {rival.value:.3f}: better than it by",
                f"      {rival.better}",
            ]
        ),
    ]
