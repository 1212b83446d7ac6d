"""Budgets that heads share, as obvious loops: what goes, one entry after the other."""

from fractions import Fraction
from math import ceil, floor

from torch import Tensor

from tests.reference.rules import Rule, dropped

__all__ = ["gone", "gone_by_model", "parts_of_heads"]


def gone(
    scores: Tensor, alive: Tensor, rule: Rule, start: int, end: int, layer: int, layers: int
) -> list[tuple[int, int]]:
    """The (head, position) that a layer drops after the queries start..end-1; scores and alive are [G, N]."""
    heads = range(len(scores))
    if rule.threshold is not None or rule.by == "head":
        return [(head, j) for head in heads for j in dropped(scores[head], alive[head], rule, start, end)]
    left = [j for j in range(rule.n_sink, end) if j + rule.window < end]
    held = {head: [j for j in left if bool(alive[head, j])] for head in heads}
    went = []
    if rule.by == "layer":
        even = min(rule.capacity(len(left)), len(left))
        while sum(map(len, held.values())) > len(heads) * even:
            droppable = [
                (head, j) for head in heads for j in held[head] if len(held[head]) > floor(Fraction(1, 5) * even)
            ]
            head, j = min(droppable, key=lambda entry: (float(scores[entry]), entry[1], entry[0]))
            held[head].remove(j)
            went.append((head, j))
        return went
    for head, part in enumerate(parts_of_heads(rule, layers, len(scores))[layer]):
        most = min(part, len(left)) if rule.budget is not None else ceil(part * len(left))
        while len(held[head]) > most:
            j = min(held[head], key=lambda j: (float(scores[head, j]), j))
            held[head].remove(j)
            went.append((head, j))
    return went


def parts_of_heads(rule: Rule, layers: int, heads: int) -> list[list[Fraction]]:
    """[L][G], the density of each head, or the number of entries."""
    even = Fraction(str(rule.density)) if rule.budget is None else Fraction(rule.budget)
    if rule.by == "pyramid":
        least = even / 20
        most = 2 * even - least
        if rule.budget is None and most > 1:
            most = Fraction(1)
            least = 2 * even - 1
        steps = [Fraction(layer, max(layers - 1, 1)) for layer in range(layers)]
        by_layer = [even] if layers == 1 else [most - step * (most - least) for step in steps]
        if rule.budget is not None:
            by_layer = rounded(by_layer)
        return [[part] * heads for part in by_layer]
    weights = [[Fraction(str(weight)) for weight in row] for row in rule.by]
    flat = [weight for row in weights for weight in row]
    if rule.budget is not None:
        whole = rounded([even * len(flat) * weight / sum(flat) for weight in flat])
        return [whole[layer * heads : (layer + 1) * heads] for layer in range(layers)]
    parts = dict.fromkeys(range(len(flat)), Fraction(0))
    full: set[int] = set()
    while True:
        others = [at for at in parts if at not in full]
        left = even * len(flat) - len(full)
        total = sum(flat[at] for at in others)
        for at in others:
            parts[at] = left * flat[at] / total if total else left / len(others)
        above = {at for at in others if parts[at] > 1}
        if not above:
            break
        full |= above
        for at in above:
            parts[at] = Fraction(1)
    return [[parts[layer * heads + head] for head in range(heads)] for layer in range(layers)]


def rounded(parts: list[Fraction]) -> list[Fraction]:
    """Whole numbers with the sum of the parts: those with the most after the point are rounded up."""
    whole = [floor(part) for part in parts]
    while sum(whole) < round(sum(parts)):
        at = max(range(len(parts)), key=lambda at: (parts[at] - whole[at], -at))
        whole[at] += 1
    return [Fraction(count) for count in whole]


def gone_by_model(scores: Tensor, rule: Rule, context_length: int) -> list[tuple[int, int, int]]:
    """The (layer, head, position) that one cut drops where all heads share; scores are [L, G, N]."""
    layers, heads, _ = scores.shape
    left = range(rule.n_sink, context_length - rule.window)
    held = [(layer, head, j) for layer in range(layers) for head in range(heads) for j in left]
    most = layers * heads * min(rule.capacity(len(left)), len(left))
    lowest_first = sorted(held, key=lambda entry: (float(scores[entry]), entry[2], entry[0], entry[1]))
    return lowest_first[: max(0, len(held) - most)]
