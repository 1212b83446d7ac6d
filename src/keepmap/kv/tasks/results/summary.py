"""The answers of one method to one task at one density as a row: means with intervals over contexts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from keepmap.core.intervals import LEAST, NOT_NEGATIVE, mean_interval, share_interval
from keepmap.kv.tasks.results.rows import AnswerRow

__all__ = ["KEPT", "SummaryRow", "summarised"]

KEPT = 0.5
"""Evidence counts as kept where that share of its entries is held, and else as lost."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """Means over questions; intervals are of 95 %, over contexts, and None of fewer than three.

    Attributes:
        task, method, label, density: as `AnswerRow` has them.
        n, n_contexts: questions, and the contexts that they are about.
        score, exact, nll: means, with the intervals of the first (Wilson's) and the last; None where there is nothing
            to score.
        n_new: tokens of an answer. finished: the share of answers that ended by themselves.
        held, footprint, nbytes, peak_nbytes, full_nbytes: means of what the cache holds when an answer begins.
        kept, ger, whole, mass: means of what is held of the evidence, and is looked at; None without any.
        kept_right, kept_wrong, lost_right, lost_wrong: answers by whether half of their evidence's entries were held
            (`KEPT`) and whether all of the answer was there; None without evidence.
        score_kept, score_lost: mean scores where the evidence was kept, and where it was lost.
    """

    task: str
    method: str
    label: str
    density: float
    n: int
    n_contexts: int
    score: float | None
    score_low: float | None
    score_high: float | None
    exact: float | None
    nll: float
    nll_low: float | None
    nll_high: float | None
    n_new: float
    finished: float
    held: float
    footprint: float
    nbytes: float
    peak_nbytes: float
    full_nbytes: float
    kept: float | None
    ger: float | None
    whole: float | None
    mass: float | None
    kept_right: int | None
    kept_wrong: int | None
    lost_right: int | None
    lost_wrong: int | None
    score_kept: float | None
    score_lost: float | None

    @property
    def plain(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)


def summarised(answers: Sequence[AnswerRow]) -> SummaryRow:
    """The row of answers that are all of one task, method and density; one or more."""
    first = answers[0]
    scores, nlls = _by_context(answers, lambda row: row.score), _by_context(answers, lambda row: row.nll)
    # Of six wrong answers Student's interval is 0 to 0; Wilson's is wide enough for scores, which are shares.
    score_low, score_high = share_interval(float(scores.mean()), len(scores)) if len(scores) >= LEAST else (None, None)
    nll_low, nll_high = mean_interval(nlls, NOT_NEGATIVE)
    kept = [row for row in answers if row.kept is not None and row.kept >= KEPT]
    lost = [row for row in answers if row.kept is not None and row.kept < KEPT]
    has_evidence = bool(kept or lost) and first.score is not None
    counts = {
        f"{name}_{end}": sum((row.score == 1.0) == is_right for row in rows) if has_evidence else None
        for name, rows in (("kept", kept), ("lost", lost))
        for end, is_right in (("right", True), ("wrong", False))
    }
    return SummaryRow(
        task=first.task,
        method=first.method,
        label=first.label,
        density=first.density,
        n=len(answers),
        n_contexts=len({row.sample for row in answers}),
        score=_mean(answers, lambda row: row.score),
        score_low=score_low,
        score_high=score_high,
        exact=_mean(answers, lambda row: row.exact),
        nll=_sure(answers, lambda row: row.nll),
        nll_low=nll_low,
        nll_high=nll_high,
        n_new=_sure(answers, lambda row: row.n_new),
        finished=_sure(answers, lambda row: row.is_finished),
        held=_sure(answers, lambda row: row.held),
        footprint=_sure(answers, lambda row: row.footprint),
        nbytes=_sure(answers, lambda row: row.nbytes),
        peak_nbytes=_sure(answers, lambda row: row.peak_nbytes),
        full_nbytes=_sure(answers, lambda row: row.full_nbytes),
        kept=_mean(answers, lambda row: row.kept),
        ger=_mean(answers, lambda row: row.ger),
        whole=_mean(answers, lambda row: row.whole),
        mass=_mean(answers, lambda row: row.mass),
        score_kept=_mean(kept, lambda row: row.score),
        score_lost=_mean(lost, lambda row: row.score),
        **counts,
    )


def _mean(rows: Sequence[AnswerRow], of: Callable[[AnswerRow], float | None]) -> float | None:
    values = [float(value) for row in rows if (value := of(row)) is not None]
    return sum(values) / len(values) if values else None


def _sure(rows: Sequence[AnswerRow], of: Callable[[AnswerRow], float]) -> float:
    return sum(float(of(row)) for row in rows) / len(rows)


def _by_context(rows: Sequence[AnswerRow], of: Callable[[AnswerRow], float | None]) -> Float[np.ndarray, " contexts"]:
    """The mean of each context that has a value: the questions of a context are no independent values."""
    by_context: dict[int, list[float]] = {}
    for row in rows:
        if (value := of(row)) is not None:
            by_context.setdefault(row.sample, []).append(float(value))
    return np.array([np.mean(values) for values in by_context.values()], dtype=np.float64)
