"""Scores that look at the budget, or at what a value adds to the layer's output: as those of `scores`, obvious code."""

from tests.reference.rules import Rule
from tests.reference.scores import ENDLESS, Score, Seen, given_now, held_by, once_in, snapkv

__all__ = ["caote", "criticalkv", "defensivekv"]


def criticalkv(rule: Rule, base: Score = snapkv, queries: int = 32) -> Score:
    """Half of the budget by the base's score, the rest by that times the value's length behind the projection."""

    def score(seen: Seen, head: int, j: int) -> float:
        def compute() -> dict[int, float]:
            held = held_by(seen, head)
            by_base = {i: base(seen, head, i) for i in held}
            result = {i: (by_base[i] + 1e-4) * length(seen, head, i) for i in held}
            open_to_it, most = _budget(rule, seen, held)
            if most is not None:
                for i in sorted(open_to_it, key=lambda i: (-by_base[i], -i))[: most // 2]:
                    result[i] = ENDLESS
            return {i: ENDLESS if i > seen.step - queries else value for i, value in result.items()}

        return once_in(seen, ("critical", head, seen.step), compute)[j]

    return score


def caote(base: Score = snapkv, queries: int = 32) -> Score:
    """What dropping j would change in the output, if the base's scores were the attention."""

    def compute(seen: Seen, head: int) -> dict[int, float]:
        by_base = {i: base(seen, head, i) for i in held_by(seen, head) if i <= seen.step - queries}
        values, total = seen.values[head].double(), sum(by_base.values())
        shares = {i: value / total for i, value in by_base.items()}
        output = sum(share * values[i] for i, share in shares.items())
        odds = {i: min(share, 1.0 - 2.0**-20) / (1.0 - min(share, 1.0 - 2.0**-20)) for i, share in shares.items()}
        change = {i: odds[i] * float((values[i] - output).norm()) for i in shares}
        return {i: change.get(i, ENDLESS) for i in held_by(seen, head)}

    return lambda seen, head, j: once_in(seen, ("caote", head, seen.step), lambda: compute(seen, head))[j]


def defensivekv(rule: Rule, queries: int = 32) -> Score:
    """The worst of the last queries and of the group, times the value's length; nine tenths of the mean first."""

    def compute(seen: Seen, head: int) -> dict[int, float]:
        first, group = max(0, seen.step + 1 - queries), seen.group(head)
        held = held_by(seen, head)
        before = [i for i in held if i < first]
        rows = [row for h in group for row in given_now(seen, h, first)]
        worst, mean = dict.fromkeys(before, 0.0), dict.fromkeys(before, 0.0)
        for row in rows:
            paid = [float(row[i]) for i in before]
            smooth = [sum(paid[max(0, at - 2) : at + 3]) / 5 for at in range(len(before))]
            for i, own, value in zip(before, paid, smooth, strict=True):
                worst[i] = max(worst[i], value * sum(paid) / sum(smooth) if value else 0.0)
                mean[i] += own / len(rows)
        floor = sum(worst.values()) / max(1, len(before))
        result = {}
        for i in before:
            holders = [g for g in range(seen.alive.shape[0]) if bool(seen.alive[g, i])]
            lengths = [length(seen, g, i) for g in holders]
            result[i] = max(worst[i], floor) * length(seen, head, i) / (sum(lengths) / len(lengths))
        open_to_it, most = _budget(rule, seen, held)
        so_far, taken = 0.0, 0
        protected = len([i for i in before if i not in open_to_it])
        for i in sorted(before, key=lambda i: (-mean[i], -i)):
            so_far += mean[i] / sum(mean.values()) if mean[i] else 0.0
            if so_far < 0.9 and (most is None or taken < most + protected):
                result[i] = ENDLESS
                taken += 1
        return {i: result.get(i, ENDLESS) for i in held}

    return lambda seen, head, j: once_in(seen, ("defensive", head, seen.step), lambda: compute(seen, head))[j]


def length(seen: Seen, head: int, j: int) -> float:
    """The sum of absolute values of what value j adds to the output at a weight of 1; the mean over the group."""

    def compute() -> float:
        added = [seen.added(h, seen.values[head, j]) for h in seen.group(head)]
        return sum(float(part.double().abs().sum()) for part in added) / len(added)

    return once_in(seen, ("length", head, j), compute)


def _budget(rule: Rule, seen: Seen, held: list[int]) -> tuple[list[int], int | None]:
    """What of it can be dropped, and how many of them the head may hold on average; None under a threshold."""
    left = [j for j in range(rule.n_sink, seen.step + 1) if j + rule.window <= seen.step]
    most = None if rule.threshold is not None else min(rule.capacity(len(left)), len(left))
    return [i for i in held if i in left], most
