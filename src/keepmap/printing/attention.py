"""What `keepmap attention` prints: the document's block of each sample, and what several samples say together."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from keepmap.attention.profile import AttentionProfile
from keepmap.core.intervals import LEAST, mean_interval
from keepmap.errors import counted
from keepmap.insight.guide import GuideInsight
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import Verdict

__all__ = ["insight_lines", "layer_heading", "overall", "sample_block", "suggestion_lines", "verdict_lines"]


def layer_heading(layer: int) -> list[str]:
    """The heading above everything about a layer."""
    return ["", f"ANALYZING LAYER {layer}", "=" * 16]


def sample_block(heading: str, profile: AttentionProfile, statistics: Mapping[str, float]) -> list[str]:
    """A layer's five figures in one sample, as the document prints them."""
    n = profile.shape[2]
    ratio = statistics["recent_distant_ratio"]
    return [
        "",
        f"{heading}:",
        f"  Sequence length: {n}",
        f"  Context tokens: {n - 1}",
        f"  Mean context attention: {statistics['mean']:.4f}",
        f"  Attention std dev: {statistics['std']:.4f}",
        f"  Max attention position: {statistics['max_position']}",
        f"  Recent/Distant ratio: {'-' if math.isnan(ratio) else f'{ratio:.2f}'}",
        f"  Attention entropy: {statistics['entropy']:.2f}",
    ]


def overall(statistics: Sequence[Mapping[str, float]]) -> list[str]:
    """The means over two or more samples, with 95 % intervals of three or more."""
    if len(statistics) < 2:
        return []
    lines = [
        "",
        f"Over {counted(len(statistics), 'sample')}, means{' and their 95 % intervals' * (len(statistics) >= LEAST)}:",
    ]
    for key, label, places in (
        ("mean", "Mean context attention", 4),
        ("std", "Attention std dev", 4),
        ("recent_distant_ratio", "Recent/Distant ratio", 2),
        ("entropy", "Attention entropy", 2),
    ):
        values = np.array([sample[key] for sample in statistics])
        values = values[~np.isnan(values)]
        if len(values):
            low, high = mean_interval(values)
            between = "" if low is None or high is None else f" [{low:.{places}f}, {high:.{places}f}]"
            lines.append(f"  {label}: {values.mean():.{places}f}{between}")
    return lines


def insight_lines(insight: GuideInsight) -> list[str]:
    """The document's insight into a layer, and the line of code that it recommends."""
    return ["", *insight.lines, "", *insight.suggested.code]


def verdict_lines(by_sample: Sequence[Sequence[Verdict]]) -> list[str]:
    """The verdict on each head of a layer, whatever the length: the most frequent one over the samples.

    Args:
        by_sample: the layer's verdicts in each sample, head by head.
    """
    share = by_sample[0][0].numbers.share
    lines = ["", f"By head, whatever the length: what holds {100 * share:.0f} % of the attention to the context"]
    for of_head in zip(*by_sample, strict=True):
        pattern, times = Counter(verdict.pattern for verdict in of_head).most_common(1)[0]
        same = [verdict for verdict in of_head if verdict.pattern == pattern]
        agreeing = f" in {times} of {len(of_head)} samples" if len(of_head) > 1 else ""
        seen = [verdict.numbers for verdict in same]
        # The one of median length stands for all of them: the line of code says what the text says.
        typical = sorted((verdict.suggestion for verdict in same), key=lambda suggestion: suggestion.keep)[
            len(same) // 2
        ]
        percent = 100 * typical.keep / typical.of
        lines += [
            f"  Head {of_head[0].head}: {pattern}{agreeing}: {typical.keep} of {typical.of} positions "
            f"({percent:.0f} %)",
            f"    enough: top {_mean([numbers.top for numbers in seen]):.0f}, most recent "
            f"{_mean([numbers.recent for numbers in seen]):.0f}, "
            f"evenly {_mean([numbers.even for numbers in seen]):.0f}; entropy "
            f"{_mean([numbers.normalised_entropy for numbers in seen]):.2f} of ln n",
            *typical.code,
        ]
    return lines


def suggestion_lines(suggestion: Suggestion) -> list[str]:
    """What all layers and heads together suggest."""
    percent = 100 * suggestion.keep / suggestion.of
    return [
        "",
        "OVERALL",
        "=======",
        f"{suggestion.pattern}: keep {suggestion.keep} of {suggestion.of} positions ({percent:.0f} %)",
        *suggestion.code,
    ]


def _mean(values: Sequence[int | float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
