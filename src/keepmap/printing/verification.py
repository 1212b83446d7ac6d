"""What a verification says, in lines of 80 columns and some of code."""

from keepmap.insight.verification import ALIKE, COSTS, HELD, RULES, WORSE, Compared, Verification

__all__ = ["verification_lines"]

_WORDS = {HELD: "held", WORSE: "refuted", ALIKE: "refuted*"}


def verification_lines(verification: Verification) -> tuple[str, ...]:
    """Each insight with what its deletion cost, how often each rule held, and the overall suggestions."""
    samples = "contexts" if verification.host == "agent" else "texts"
    lines = [
        f"TESTED BY DELETION: {verification.host}, {verification.n_samples} {samples}, "
        f"{verification.n_draws} random draws each",
        f"Cost in nats: {COSTS[verification.costs[0]]}. Saved: random's cost less",
        f"the rule's, with its 95 % interval over {'goals' if verification.host == 'agent' else samples}"
        " (none for one).",
        "",
        "rule  pattern kept    cost  random    saved [95 % interval]        n",
    ]
    above = None
    for one in verification.insights:
        if one.layer != above:
            lines.append(f"layer {one.layer}")
        above = one.layer
        low, high = ("-" if end is None else _short(end, "+") for end in (one.low, one.high))
        lines.append(
            f"{one.rule:5} {one.pattern:7} {one.kept:4.0%} {_short(one.cost):>7} {_short(one.random):>7} "
            f"{_short(one.saved, '+'):>8} {f'[{low},{high}]':19} {one.n:3} {_WORDS[one.word]}"
        )
    lines += ["", "refuted: random is better. refuted*: not distinguishable from random."]
    lines += verification.skipped
    for cost in verification.costs:
        lines += ["", f"Cheaper than random, by {COSTS[cost]}:"]
        for rule in RULES:
            rate, insights = verification.rate(rule, cost), verification.insights_by(cost)
            own = [one for one in insights if one.rule == rule]
            if not own:
                lines.append(f"   {rule}: no trials")
                continue
            ends = "" if rate.low is None or rate.high is None else f" [{rate.low:.0%}, {rate.high:.0%}]"
            lines.append(
                f"   {rule}: {rate.wins} of {rate.n} trials ({rate.wins / rate.n:.0%}{ends}); "
                f"{sum(one.held for one in own)} of {len(own)} insights held"
            )
    for overall in verification.compared:
        lines += ["", *_compared_lines(overall, samples)]
    return tuple(lines)


def _short(value: float, sign: str = "") -> str:
    """Two digits that count: costs span many orders of magnitude."""
    return f"{value:{sign}.2g}"


def _compared_lines(one: Compared, samples: str) -> list[str]:
    over = "goals" if one.unit == "return" else samples
    ends = "" if one.low is None or one.high is None else f" [{one.low:+.3f}, {one.high:+.3f}]"
    return [
        f"{one.rule}, overall:",
        *one.suggestion.code,
        f"   {one.unit}: whole {one.whole:.3f}, suggested {one.suggested:.3f}, random {one.random:.3f} "
        f"({one.n} {over})",
        f"   better than random by {one.saved:+.3f}{ends}",
        f"   {one.word}",
    ]
