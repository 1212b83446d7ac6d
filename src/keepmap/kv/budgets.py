"""Budgets as values: how much may be held, and which heads share it.

L layers · G KV heads of a layer · m compressible positions that have left the window.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from keepmap.core.arguments import as_integer, as_number, shown
from keepmap.core.files import read_json
from keepmap.errors import InputError, did_you_mean, escaped, kind_of

__all__ = ["SPREADS", "Budget", "Shares", "Spread", "Table", "as_json", "as_spread", "shares_in_layer", "spread_name"]

SPREADS = ("head", "layer", "model", "pyramid")
"""Who shares a budget: each head has its own; the heads of a layer; all heads; each its own, less in later layers."""
_SAFE = Fraction(1, 5)
"""AdaKV's safeguard: of its even part, the share that every head of a layer keeps."""
_STEEPNESS = 20
"""PyramidKV's beta: the even part over that of the last layer."""
_LARGEST_FILE = 1 << 24


@dataclass(frozen=True)
class Table:
    """Shares of a budget by layer and KV head: numbers of 0 or more, of which only the proportions count.

    Attributes:
        shares: [L][G]. name: what results call it.
    """

    shares: tuple[tuple[float, ...], ...]
    name: str = "table"


Spread = str | Table
"""One of `SPREADS`, or a table."""


@dataclass(frozen=True)
class Budget:
    """The cache may hold ceil(density * m) of the m compressible positions that left the window, or a fixed `count`.

    When one too many would be held, the lowest-scored goes, the earlier one on a tie. That is of each head; `by` says
    who shares what all heads may hold together.
    """

    density: float | None = None
    count: int | None = None
    by: Spread = "head"

    def __post_init__(self) -> None:
        if (self.density is None) == (self.count is None):
            raise InputError("expected a budget to be a density or a count, got both or neither")
        if self.density is not None:
            as_number("density", self.density, 0.0, 1.0)
        if self.count is not None:
            as_integer("budget", self.count)

    def capacity(self, m: int) -> int:
        """How many of m compressible positions a head may hold on average: here a ratio becomes a count."""
        if self.count is not None:
            return min(self.count, m)
        return _ceil(self.ratio, m)

    @cached_property
    def ratio(self) -> Fraction:
        """The decimal that was typed, not the nearest binary: 0.2 of 35 is 7, not ceil(7.000000000000001)."""
        assert self.density is not None
        return Fraction(repr(float(self.density)))

    @property
    def spread(self) -> str:
        """Who shares it, in a word."""
        return spread_name(self.by)


@dataclass(frozen=True, eq=False)
class Shares:
    """What the heads of one layer may hold, where they do not hold alike.

    Attributes:
        rule: the budget. parts: [G], what each head may hold: a density, or a number of positions.
        is_pooled: whether the heads hold together what they may hold, whichever of them it is.
    """

    rule: Budget
    parts: tuple[Fraction, ...]
    is_pooled: bool

    def capacities(self, m: int) -> list[int]:
        """How many of m compressible positions each head may hold."""
        if self.rule.count is not None:
            return [min(int(part), m) for part in self.parts]
        return [_ceil(part, m) for part in self.parts]

    def safe(self, m: int) -> int:
        """How many of its best a head keeps where the heads share: a fifth of its even part, rounded down."""
        return math.floor(_SAFE * self.rule.capacity(m))

    def drops(self, before: int, after: int) -> list[int]:
        """How many each head drops where `before` of them had left the window, and now `after`; pooled, all of them."""
        drops = [
            (after - now) - (before - then)
            for then, now in zip(self.capacities(before), self.capacities(after), strict=True)
        ]
        return [sum(drops)] * len(drops) if self.is_pooled else drops


def _ceil(part: Fraction, m: int) -> int:
    return -(-part.numerator * m // part.denominator)


def shares_in_layer(rule: Budget, layer: int, layers: int, heads: int) -> Shares:
    """What the heads of a layer may hold of a budget that is not each head's own.

    Raises:
        InputError: a table for another number of layers or heads.
    """
    even = rule.ratio if rule.count is None else Fraction(rule.count)
    if rule.by == "layer":
        return Shares(rule, (even,) * heads, is_pooled=True)
    if rule.by == "pyramid":
        parts = [[part] for part in _pyramid(even, layers, Fraction(1) if rule.count is None else None)]
        parts = [part * heads for part in _whole(parts)] if rule.count is not None else [part * heads for part in parts]
        return Shares(rule, tuple(parts[layer]), is_pooled=False)
    assert isinstance(rule.by, Table), f"a budget by {rule.by} is not of one layer"
    weights = rule.by.shares
    if len(weights) != layers or any(len(row) != heads for row in weights):
        raise InputError(
            f"expected `budget_by` to be a table of {layers} layers with {heads} KV heads each, as the model has, got "
            f"one of {len(weights)} layers with {' or '.join(map(str, sorted({len(row) for row in weights})))}"
        )
    most = Fraction(1) if rule.count is None else None
    parts = _in_proportion([[Fraction(repr(share)) for share in row] for row in weights], even, most)
    return Shares(rule, tuple((_whole(parts) if rule.count is not None else parts)[layer]), is_pooled=False)


def _pyramid(even: Fraction, layers: int, most: Fraction | None) -> list[Fraction]:
    """PyramidKV's parts: from the first layer's to the last's in equal steps, `even` on average."""
    if layers == 1:
        return [even]
    first = 2 * even - even / _STEEPNESS
    first = first if most is None else min(first, most)
    return [first - Fraction(2 * layer, layers - 1) * (first - even) for layer in range(layers)]


def _in_proportion(weights: list[list[Fraction]], even: Fraction, most: Fraction | None) -> list[list[Fraction]]:
    """Parts in proportion to weights, `even` on average; what is above the most goes to the others, likewise."""
    flat = [weight for row in weights for weight in row]
    parts: list[Fraction | None] = [None] * len(flat)
    left = even * len(flat)
    while True:
        free = [at for at, part in enumerate(parts) if part is None]
        total = sum(flat[at] for at in free)
        wanted = {at: left * flat[at] / total if total else left / len(free) for at in free}
        above = [at for at in free if most is not None and wanted[at] > most]
        for at in above or free:
            parts[at] = most if above else wanted[at]
        if not above:
            break
        left -= most * len(above)  # type: ignore[operator]
    filled = iter(part for part in parts if part is not None)
    return [[next(filled) for _ in row] for row in weights]


def _whole(parts: list[list[Fraction]]) -> list[list[Fraction]]:
    """Whole numbers of the same sum: rounded down, and one more for those with the largest remainders."""
    flat = [part for row in parts for part in row]
    counts = [math.floor(part) for part in flat]
    by_remainder = sorted(range(len(flat)), key=lambda at: (counts[at] - flat[at], at))
    for at in by_remainder[: round(sum(flat)) - sum(counts)]:
        counts[at] += 1
    whole = iter(Fraction(count) for count in counts)
    return [[next(whole) for _ in row] for row in parts]


def as_spread(value: object, density: float | None = None) -> Spread:
    """Who shares a budget: one of the names, or a table, as a file of JSON or as nested sequences.

    >>> as_spread("layer"), as_spread([[1, 3], [0, 2]]).shares
    ('layer', ((1.0, 3.0), (0.0, 2.0)))

    Args:
        value: a name; a path; [L][G] shares; or [R][L][G] rates of what goes (LU-KV's form), of densities in R + 1
            equal steps, from the most that is held to the least, of which that of `density` is taken.

    Raises:
        InputError: none of these.
    """
    if isinstance(value, Table) or (isinstance(value, str) and value in SPREADS):
        return value
    if isinstance(value, str | Path):
        path = Path(value)
        if not path.is_file():
            hint = did_you_mean(str(value), SPREADS)
            raise InputError(
                f"expected `budget_by` to be one of {', '.join(SPREADS)}, or a file, got {shown(value)}, {hint}"
            )
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"expected {path} to be a table of at most {_LARGEST_FILE >> 20} MiB, got a larger file")
        try:
            return Table(_shares(read_json(path), density), escaped(path.name))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a table of shares: {error}") from None
    try:
        return Table(_shares(value, density))
    except ValueError as error:
        raise InputError(f"`budget_by` is not a table of shares: {error}") from None


def spread_name(spread: Spread) -> str:
    """In a word."""
    return spread if isinstance(spread, str) else spread.name


def as_json(spread: Spread) -> str | list[list[float]]:
    """What `as_spread` takes back, as a JSON value."""
    return spread if isinstance(spread, str) else [list(row) for row in spread.shares]


def _shares(value: object, density: float | None) -> tuple[tuple[float, ...], ...]:
    """[L][G] of nested sequences.

    Raises:
        ValueError: they are none.
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    rows = _sequence(value, "layers")
    if isinstance(rows[0], Sequence) and rows[0] and isinstance(rows[0][0], Sequence):
        if density is None:
            raise ValueError("one of rates by density needs a `density`")
        at = min(max(round((1 - density) * (len(rows) + 1)), 1), len(rows)) - 1
        rates = [_numbers(row) for row in _sequence(rows[at], "layers")]
        if any(rate > 1 for row in rates for rate in row):
            raise ValueError("a rate is above 1")
        table = tuple(tuple(1.0 - rate for rate in row) for row in rates)
    else:
        table = tuple(_numbers(row) for row in rows)
    if not any(share for row in table for share in row):
        raise ValueError("all of its shares are 0")
    return table


def _sequence(value: object, of: str) -> Sequence[object]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ValueError(f"expected a list of {of}, got {kind_of(value)}")
    return value


def _numbers(row: object) -> tuple[float, ...]:
    numbers = []
    for share in _sequence(row, "KV heads"):
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not 0 <= share < math.inf:  # type: ignore[operator]
            raise ValueError(f"expected numbers of 0 or more, got {shown(share)}")
        numbers.append(float(share))  # type: ignore[arg-type]
    return tuple(numbers)
