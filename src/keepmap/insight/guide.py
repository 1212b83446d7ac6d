"""The recommendation that the guide makes for a layer, by its four patterns and their thresholds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keepmap.errors import InputError
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.subject import Subject
from keepmap.insight.suggestion import Suggestion

__all__ = ["GuideInsight", "guide_insight"]

GUIDE_LENGTH = 10
"""How much the document's lines of code keep."""

RECENCY_ABOVE, SPREAD_BELOW = 2.0, 1.2
UNIFORM_ABOVE, SPARSE_BELOW = 2.0, 1.5

_INSIGHTS = {
    "recency": ("Strong recency bias detected!", "Consider compressing or removing distant history."),
    "uniform": ("High attention entropy (uniform distribution)!", "Sample evenly across history."),
    "sparse": ("Low attention entropy (focused attention)!", "Keep only high-attention positions."),
    "mixed": ("Complex/mixed pattern (moderate entropy)!", "Adapt to each history's attention."),
}
_SPREAD = ("Attention is spread across history!", "No part of it stands out by its age alone.")


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
    statistics: Sequence[Mapping[str, float]], *, subject: Subject | None = None, of: int | None = None
) -> GuideInsight:
    """The document's four patterns, in its order; the first that holds decides.

    1. recency: the mean recent/distant ratio is above 2.0. 2. uniform: the mean entropy is above 2.0 nats. 3. sparse:
    it is below 1.5. 4. mixed: else, 1.5 to 2.0. A mean ratio below 1.2 ("uniform temporal attention") is an indicator
    of no pattern there: it adds a line, and decides nothing. Ratios that are NaN (two positions or fewer) are left out.

    Args:
        statistics: `profile.guide_statistics(layer)` of each sample of one layer.
        subject: the wing that the suggestion is for, an agent by default.
        of: how many positions there are to choose from; by default more than the guide's 10.

    Raises:
        InputError: no samples.

    Differs from the guide: one recommendation, where the guide's program printed one line for the ratio and one for the
        entropy, whether they agreed or not; patterns 3 and 4, which the guide has and its program had not.
    """
    if not statistics:
        raise InputError("expected `statistics` to be of one sample or more, got none")
    ratios = [ratio for sample in statistics if not math.isnan(ratio := sample["recent_distant_ratio"])]
    ratio = math.fsum(ratios) / len(ratios) if ratios else math.nan
    entropy = math.fsum(sample["entropy"] for sample in statistics) / len(statistics)
    if ratio > RECENCY_ABOVE:
        pattern = "recency"
    elif entropy > UNIFORM_ABOVE:
        pattern = "uniform"
    elif entropy < SPARSE_BELOW:
        pattern = "sparse"
    else:
        pattern = "mixed"
    spread = [_SPREAD] if ratio < SPREAD_BELOW else []
    lines = [line for head, body in [*spread, _INSIGHTS[pattern]] for line in (f"💡 INSIGHT: {head}", f"   {body}")]
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
