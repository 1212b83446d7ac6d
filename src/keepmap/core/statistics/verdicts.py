"""Who beats whom, whose scores are equal, and what cannot be told: for all pairs of methods on the same samples."""

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from keepmap.core.arguments import shown
from keepmap.core.intervals import LEAST
from keepmap.core.result_table import ResultTable
from keepmap.core.statistics.paired import Differences, sign_flips
from keepmap.core.statistics.samples import clusters_of, is_between, numbers_of
from keepmap.errors import InputError, escaped

__all__ = ["LEVEL", "Outcome", "PairVerdict", "Verdicts", "holm", "paired_verdicts"]

LEVEL = 0.05
"""How often a table with nothing to find says "beats" of a pair, at most; and the same of "equals"."""

_FOUND = ("low", "high", "p", "p_equal", "detectable")

Outcome = Literal["beats", "equals", "cannot be told"]


@dataclass(frozen=True, kw_only=True)
class PairVerdict:
    """What can be said of two methods on the same samples.

    Attributes:
        a, b: the methods; where one beats the other, a is the better one.
        outcome: "equals" where the difference is surely within the margin, else "beats" where there surely is one,
            else "cannot be told".
        difference: the mean score of a minus that of b; low, high: its 95 % interval, of this pair alone.
        p: of no difference; p_equal: of one as large as the margin, None without a margin. Both are corrected by Holm
            over all pairs. None of fewer than three clusters, as low and high.
        detectable: the least true difference that would be found in about four of five cases at this n, over as many
            pairs.
        n, n_clusters: samples, and the independent groups that they are in.
        test: what p is of: "exact McNemar", "exact sign flips" of clusters, or "Student's, skew-adjusted".
    """

    a: str
    b: str
    outcome: Outcome
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_equal: float | None
    detectable: float | None
    n: int
    n_clusters: int
    test: str

    def __str__(self) -> str:
        return f"{self.a} {self.outcome} {self.b}" if self.outcome != "cannot be told" else f"{self.a} ? {self.b}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdicts(ResultTable):
    """What can be said of every pair of methods on the same samples; `rows` and `to_pandas()` have a pair each.

    Attributes:
        pairs: in the order of the methods.
        methods: from the best mean score to the worst.
        better: "higher" or "lower" scores.
        margin: within which scores count as equal; None where nothing was said to be equal.
        unit: of the scores, for what is printed: "nats per token".
    """

    pairs: tuple[PairVerdict, ...]
    methods: tuple[str, ...]
    better: Literal["higher", "lower"]
    margin: float | None
    unit: str = ""

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per pair."""
        return [asdict(pair) for pair in self.pairs]

    @property
    def header(self) -> tuple[str, ...]:
        """The fields of a pair."""
        return tuple(PairVerdict.__dataclass_fields__)

    @property
    def columns(self) -> tuple[str, ...]:
        """Who, what, by how much, and how sure that is."""
        return ("a", "outcome", "b", "difference", "low", "high", "p", "p_equal", "detectable")

    @property
    def caption(self) -> str:
        """How it was decided, in one line."""
        n, clusters = self.pairs[0].n, self.pairs[0].n_clusters
        of = f"n={n}" if n == clusters else f"n={n} in {clusters} clusters"
        margin = "" if self.margin is None else f", equal within {self._within}"
        return f"{len(self.pairs)} pairs of {len(self.methods)} methods: {of}, paired, {1 - LEVEL:.0%}, Holm{margin}"

    def of(self, a: str, b: str) -> PairVerdict:
        """The verdict on two methods, whichever of them is named first.

        Raises:
            InputError: they are no pair of these methods.
        """
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair
        raise InputError(f"expected `a` and `b` to be two of {', '.join(self.methods)}, got {shown(a)} and {shown(b)}")

    def beaten_by(self, method: str) -> tuple[str, ...]:
        """The methods that it beats, from the best to the worst."""
        beaten = {pair.b for pair in self.pairs if pair.outcome == "beats" and pair.a == method}
        return tuple(other for other in self.methods if other in beaten)

    @property
    def lines(self) -> tuple[str, ...]:
        """The findings as sentences: who beats whom, what is equal, what cannot be told and what would have been."""
        if self.pairs[0].p is None:
            return (f"n={self.pairs[0].n_clusters}: nothing can be told of fewer than {LEAST}",)
        lines = [f"{method} beats {', '.join(beaten)}" for method in self.methods if (beaten := self.beaten_by(method))]
        equal = [f"{pair.a} = {pair.b}" for pair in self.pairs if pair.outcome == "equals"]
        if equal and self.margin is not None:
            lines.append(f"equal within {self._within}: {', '.join(equal)}")
        untold = [pair for pair in self.pairs if pair.outcome == "cannot be told"]
        if untold:
            lines.append(f"cannot be told: {', '.join(f'{pair.a} ? {pair.b}' for pair in untold)}")
        sizes = [pair.detectable for pair in untold or self.pairs if pair.detectable is not None]
        detectable = f"a true difference of {self._with_unit(_span(sizes))} is found in about 4 of 5 cases"
        return (*lines, f"n={self.pairs[0].n_clusters}: {detectable}")

    @property
    def _within(self) -> str:
        return self._with_unit(f"{self.margin:g}")

    def _with_unit(self, value: str) -> str:
        return f"{value} {self.unit}".rstrip()

    def __repr__(self) -> str:
        counts = {name: sum(pair.outcome == name for pair in self.pairs) for name in ("beats", "equals")}
        rest = len(self.pairs) - sum(counts.values())
        answer = f"{counts['beats']} of {len(self.pairs)} decided, {counts['equals']} equal, {rest} cannot be told"
        return escaped(f"Verdicts: {answer}\n  {self.caption}")


def paired_verdicts(
    scores: Mapping[str, Sequence[float] | np.ndarray],
    *,
    better: Literal["higher", "lower"] = "higher",
    margin: float | None = None,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    unit: str = "",
) -> Verdicts:
    """Which methods beat which, which are equal within a margin, and of which neither can be told.

    All pairs are compared on the same samples, in which samples of one cluster count as one another's copies. Scores of
    zeros and ones have the exact McNemar test (of clusters: its exact form with signs that flip), all others the test
    of the project's intervals. Equality is two one-sided tests against the margin. Both are corrected by Holm over all
    pairs; of fewer than three clusters nothing is told. A table in which nothing differs has a false "beats" in at most
    5 %, one in which all differ by the margin a false "equals" in at most 5 %.

    >>> scores = {"a": [0.9, 0.8, 0.95, 0.7], "b": [0.5, 0.45, 0.6, 0.35], "c": [0.51, 0.44, 0.61, 0.36]}
    >>> verdicts = paired_verdicts(scores, margin=0.05)
    >>> print(*verdicts.lines[:2], sep="; ")
    a beats c, b; equal within 0.05: c = b

    Args:
        scores: method -> a number for each sample, in the same order for all.
        better: whether a "higher" or a "lower" score is the better one.
        margin: a difference that does not count, in the scores' own unit; without one, nothing is found equal.
        clusters: of each sample, what it is a part of (the context of a question, the goal of a life); each is its own
            by default.
        weights: of each sample; where they are tokens, a mean is per token.
        unit: what is printed behind a difference.

    Raises:
        InputError: fewer than two methods, other numbers of scores, or what is no number, weight or margin.
    """
    names, values = _matrix(scores)
    if better not in ("higher", "lower"):
        raise InputError(f'expected `better` to be "higher" or "lower", got {shown(better)}')
    if margin is not None and not is_between(margin, 0, math.inf):
        raise InputError(f"expected `margin` to be a number above 0, got {shown(margin)}")
    n = values.shape[1]
    of, n_clusters = clusters_of(clusters, n)
    heavy = _heavy(weights, n)
    means = values @ heavy / heavy.sum()
    order = sorted(range(len(names)), key=lambda at: means[at] if better == "lower" else -means[at])
    firsts, seconds = (list(ends) for ends in zip(*itertools.combinations(order, 2), strict=True))
    # [C, methods]: sums of clusters; differences of sums are sums of differences.
    sums = np.zeros((n_clusters, len(names)))
    np.add.at(sums, of, (values * heavy).T)
    weight = np.bincount(of, heavy, n_clusters)
    is_binary = weights is None and bool(np.isin(values, (0.0, 1.0)).all())
    given = Differences(sums[:, firsts] - sums[:, seconds], weight)
    mean = given.mean + 0.0
    test = "Student's, skew-adjusted"
    if is_binary:
        test = "exact McNemar" if n_clusters == n else "exact sign flips"
    pairs = zip(firsts, seconds, mean, _findings(given, is_binary, margin), strict=True)
    return Verdicts(
        pairs=tuple(
            PairVerdict(
                a=names[first],
                b=names[second],
                difference=float(difference),
                n=n,
                n_clusters=n_clusters,
                test=test,
                **finding,
            )
            for first, second, difference, finding in pairs
        ),
        methods=tuple(names[at] for at in order),
        better=better,
        margin=margin,
        unit=unit,
    )


def holm(p: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """p-values of P tests, corrected so that any false one among them is as rare as of one test.

    Reference: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979), 65-70.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _findings(given: Differences, is_binary: bool, margin: float | None) -> list[dict[str, Any]]:
    """What was found of each pair: the fields of a `PairVerdict` of these names."""
    n_pairs = given.sums.shape[1]
    if len(given.weights) < LEAST:
        return [dict.fromkeys(_FOUND) | {"outcome": "cannot be told"}] * n_pairs
    sure = given.padded() if is_binary else given
    if is_binary:
        raw = np.array([sign_flips(sums) for sums in given.sums.T])
    else:
        raw = np.minimum(1.0, 2 * np.minimum(given.above(0.0), given.below(0.0)))
    p, (low, high) = holm(raw), sure.intervals()
    p_equal = None if margin is None else holm(np.maximum(sure.above(-margin), sure.below(margin)))
    detectable = sure.detectable(LEVEL / n_pairs)
    findings = []
    for at in range(n_pairs):
        is_equal = p_equal is not None and p_equal[at] <= LEVEL
        outcome = "equals" if is_equal else "beats" if p[at] <= LEVEL else "cannot be told"
        values = (low[at], high[at], p[at], None if p_equal is None else p_equal[at], detectable[at])
        numbers = [None if value is None else float(value) for value in values]
        findings.append({"outcome": outcome, **dict(zip(_FOUND, numbers, strict=True))})
    return findings


def _matrix(scores: object) -> tuple[list[str], Float[np.ndarray, "M n"]]:
    """The methods' names, and a row of scores for each."""
    if not isinstance(scores, Mapping) or len(scores) < 2:
        raise InputError(f"expected `scores` to map two or more methods to their samples' scores, got {shown(scores)}")
    rows = [numbers_of("scores", values) for values in scores.values()]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise InputError(f"expected `scores` of the same samples for all methods, got {lengths[0]} and {lengths[-1]}")
    return [str(name) for name in scores], np.stack(rows)


def _heavy(weights: object, n: int) -> Float[np.ndarray, " n"]:
    if weights is None:
        return np.ones(n)
    heavy = numbers_of("weights", weights)
    if len(heavy) != n or (heavy <= 0).any():
        raise InputError(f"expected `weights` of {n} samples, above 0, got {shown(weights)}")
    return heavy


def _span(sizes: Sequence[float]) -> str:
    """The least of them, and the most where that is another one to two digits."""
    least, most = f"{min(sizes):.2g}", f"{max(sizes):.2g}"
    return least if least == most else f"{least} to {most}"
