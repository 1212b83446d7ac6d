"""The recommendation that the guide makes for a layer, by its four patterns and their thresholds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keepmap.core.intervals import NOT_NEGATIVE, mean_interval
from keepmap.errors import InputError, counted
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.subject import Subject
from keepmap.insight.suggestion import Suggestion

__all__ = ["GuideInsight", "guide_insight"]

GUIDE_LENGTH = 10
"""How much the document's lines of code keep."""

RECENCY_ABOVE, SPREAD_BELOW = 2.0, 1.2
UNIFORM_ABOVE, SPARSE_BELOW = 2.0, 1.5


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """What is said where a mean lies within limits: in one way where its whole interval does, and in another else."""

    sure: str
    unsure: str
    advice: str
    measure: str
    above: float = 0.0
    below: float = math.inf

    def lines(self, values: Sequence[float], independent: bool) -> list[str]:
        """For the console; the interval of dependent values would be too narrow, and there is none."""
        low, high = mean_interval(np.array(values), NOT_NEGATIVE) if independent else (None, None)
        if low is not None and high is not None and self.above <= low and high <= self.below:
            return [f"💡 INSIGHT: {self.sure}!", f"   {self.advice}"]
        limits = " and ".join(f"{limit:.1f}" for limit in (self.above, self.below) if 0 < limit < math.inf)
        mean = f"{self.measure} {math.fsum(values) / len(values):.2f}"
        if low is None or high is None:
            why = f"{mean} of {counted(len(values), 'sample')}" + ("" if independent else " of one life")
        else:
            why = f"{mean} [{low:.2f}, {high:.2f}]"
        return [
            f"💡 INSIGHT: perhaps {self.unsure}, not certain:",
            f"   {why}, threshold{'s' * (' and ' in limits)} {limits}.",
            f"   {self.advice}",
        ]


_RATIO, _ENTROPY = "ratio", "entropy"
_FINDINGS = {
    "recency": _Finding(
        sure="Strong recency bias detected",
        unsure="a recency bias",
        advice="Consider compressing or removing distant history.",
        measure=_RATIO,
        above=RECENCY_ABOVE,
    ),
    "uniform": _Finding(
        sure="High attention entropy (uniform distribution)",
        unsure="a high attention entropy (uniform distribution)",
        advice="Sample evenly across history.",
        measure=_ENTROPY,
        above=UNIFORM_ABOVE,
    ),
    "sparse": _Finding(
        sure="Low attention entropy (focused attention)",
        unsure="a low attention entropy (focused attention)",
        advice="Keep only high-attention positions.",
        measure=_ENTROPY,
        below=SPARSE_BELOW,
    ),
    "mixed": _Finding(
        sure="Complex/mixed pattern (moderate entropy)",
        unsure="a complex/mixed pattern (moderate entropy)",
        advice="Adapt to each history's attention.",
        measure=_ENTROPY,
        above=SPARSE_BELOW,
        below=UNIFORM_ABOVE,
    ),
}
_SPREAD = _Finding(
    sure="Attention is spread across history",
    unsure="attention is spread across history",
    advice="No part of it stands out by its age alone.",
    measure=_RATIO,
    below=SPREAD_BELOW,
)


@dataclass(frozen=True, kw_only=True)
class GuideInsight:
    """The guide's recommendation for one layer.

    Attributes:
        pattern: "recency", "uniform", "sparse" or "mixed".
        ratio, entropy: means over the samples; the ratio is NaN where no sample has one.
        n, n_ratios: samples, and those that have a ratio.
        lines: for the console.
        suggested: the compressor (of a language model, the KV method), of the document's length, 10.
    """

    pattern: str
    ratio: float
    entropy: float
    n: int
    n_ratios: int
    lines: tuple[str, ...]
    suggested: Suggestion

    @property
    def suggestion(self) -> str:
        """One line of code; of an agent, as the document has it."""
        return self.suggested.line


def guide_insight(
    statistics: Sequence[Mapping[str, float]],
    *,
    subject: Subject | None = None,
    of: int | None = None,
    independent: bool = True,
) -> GuideInsight:
    """The document's four patterns, in its order; the first that holds of the means decides.

    1. recency: the mean recent/distant ratio is above 2.0. 2. uniform: the mean entropy is above 2.0 nats. 3. sparse:
    it is below 1.5. 4. mixed: else, 1.5 to 2.0. A mean ratio below 1.2 ("uniform temporal attention") is an indicator
    of no pattern there: it adds a line, and decides nothing. Ratios that are NaN (two positions or fewer) are left out.

    The lines say it as the document does where the whole 95 % interval of the mean lies beyond the threshold, and else
    that it is not certain; so they do of fewer than three samples, which have no interval.

    Args:
        statistics: `profile.guide_statistics(layer)` of each sample of one layer.
        subject: the wing that the suggestion is for, an agent by default.
        of: how many positions there are to choose from; by default more than the guide's 10.
        independent: whether the samples are; moments of one learner's life are not, and have no interval.

    Raises:
        InputError: no samples.

    Differs from the guide: one recommendation, where the guide's program printed one line for the ratio and one for the
        entropy, whether they agreed or not; patterns 3 and 4, which the guide has and its program had not; whether the
        samples are enough to tell.
    """
    if not statistics:
        raise InputError("expected `statistics` to be of one sample or more, got none")
    ratios = [ratio for sample in statistics if not math.isnan(ratio := sample["recent_distant_ratio"])]
    ratio = math.fsum(ratios) / len(ratios) if ratios else math.nan
    entropies = [sample["entropy"] for sample in statistics]
    entropy = math.fsum(entropies) / len(entropies)
    if ratio > RECENCY_ABOVE:
        pattern = "recency"
    elif entropy > UNIFORM_ABOVE:
        pattern = "uniform"
    elif entropy < SPARSE_BELOW:
        pattern = "sparse"
    else:
        pattern = "mixed"
    findings = [*([_SPREAD] if ratio < SPREAD_BELOW else []), _FINDINGS[pattern]]
    measured = {_RATIO: ratios, _ENTROPY: entropies}
    lines = [line for finding in findings for line in finding.lines(measured[finding.measure], independent)]
    if not ratios:
        lines.append("   No sample is long enough for a recent/distant ratio (3 positions).")
    most = GUIDE_LENGTH if of is None else of
    suggested = (subject or AgentSubject()).suggestion(pattern, min(GUIDE_LENGTH, most), most)
    return GuideInsight(
        pattern=pattern,
        ratio=ratio,
        entropy=entropy,
        n=len(statistics),
        n_ratios=len(ratios),
        lines=tuple(lines),
        suggested=suggested,
    )
