"""What `keepmap attention` prints: the document's block of each sample, and what several samples say together."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from keepmap.attention import AttentionProfile
from keepmap.core.intervals import LEAST, NOT_NEGATIVE, mean_interval
from keepmap.errors import counted
from keepmap.insight import GuideInsight, Suggestion
from keepmap.insight.verdicts import LeadingSinks, Verdict
from keepmap.printing.tables import Column, panels, terminal_width

__all__ = [
    "advice_lines",
    "insight_lines",
    "layer_heading",
    "overall",
    "sample_block",
    "sink_lines",
    "suggestion_lines",
    "summary_lines",
    "verdict_lines",
]

LETTERS = {"recency": "r", "sparse": "s", "uniform": "u", "sinks": "-"}
SHOWN = 5
"""Positions of sinks that are named, one of each sample."""

HEADS = 32
"""Heads whose letters stand side by side."""


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


def overall(statistics: Sequence[Mapping[str, float]], *, independent: bool = True) -> list[str]:
    """The means over two or more samples, with 95 % intervals of three or more, where these are independent."""
    if len(statistics) < 2:
        return []
    of = "" if independent else " of one life"
    intervals = " and their 95 % intervals" * (independent and len(statistics) >= LEAST)
    lines = ["", f"Over {counted(len(statistics), 'sample')}{of}, means{intervals}:"]
    for key, label, places in (
        ("mean", "Mean context attention", 4),
        ("std", "Attention std dev", 4),
        ("recent_distant_ratio", "Recent/Distant ratio", 2),
        ("entropy", "Attention entropy", 2),
    ):
        values = np.array([sample[key] for sample in statistics])
        values = values[~np.isnan(values)]
        if len(values):
            low, high = mean_interval(values, NOT_NEGATIVE) if independent else (None, None)
            between = "" if low is None or high is None else f" [{low:.{places}f}, {high:.{places}f}]"
            lines.append(f"  {label}: {values.mean():.{places}f}{between}")
    return lines


def insight_lines(insight: GuideInsight) -> list[str]:
    """The document's insight into a layer, and the line of code that it recommends."""
    return ["", *insight.lines, "", *insight.suggested.code]


def sink_lines(
    insight: GuideInsight, sinks: LeadingSinks, by_sample: Sequence[Sequence[Verdict]], n_sink: int
) -> list[str]:
    """A layer that looks at sinks first: what these get, what is beside them, and the guide's rule as its own.

    The guide's rule knows no sinks, and takes what they leave for a uniform attention.

    Args:
        by_sample: the layer's verdicts in each sample, head by head.
    """
    of_layer = [verdict for sample in by_sample for verdict in sample]
    rest = Counter(verdict.rest for verdict in of_layer)
    beside = ", ".join(f"{pattern} {100 * count / len(of_layer):.0f} %" for pattern, count in rest.most_common())
    share, even = f"{100 * sinks.share:.0f} %", f"{100 * sinks.even:.0f} %"
    if sinks.positions:
        where = ", ".join(map(str, sinks.positions[:SHOWN])) + ", ..." * (len(sinks.positions) > SHOWN)
        read = [
            f"💡 INSIGHT: Attention sink! One position of a text gets {share} of the attention",
            f"   ({even} if all were attended to alike): {where}",
            f"   Only the first {n_sink} always stay. Beside these, by head: {beside}.",
        ]
    else:
        read = [
            f"💡 INSIGHT: Attention sink! The first {n_sink} positions get {share} of the attention",
            f"   ({even} if all were attended to alike), and always stay.",
            f"   Beside them, by head: {beside}.",
        ]
    lines = ["", *read, "", f"By the guide's rule, which knows no sinks: {insight.pattern}"]
    if insight.pattern == "recency":
        lines += insight.lines
    else:
        lines.append(f"   (recent/distant ratio {insight.ratio:.2f}, entropy {insight.entropy:.2f} nats)")
    return [*lines, "", *insight.suggested.code]


def verdict_lines(by_sample: Sequence[Sequence[Verdict]]) -> list[str]:
    """The verdict on each head of a layer, whatever the length: the most frequent one over the samples.

    All numbers of a head are of one sample: of those that agree, the one that keeps the median number.

    Args:
        by_sample: the layer's verdicts in each sample, head by head.
    """
    share = by_sample[0][0].numbers.share
    where = "beside the sinks" if by_sample[0][0].numbers.given else "to the context"
    lines = ["", f"By head, whatever the length: what holds {100 * share:.0f} % of the attention {where}"]
    if len(by_sample) > 1:
        lines += ["  (each head's numbers are of one sample: of those that agree, the median one)"]
    for of_head in zip(*by_sample, strict=True):
        pattern, times = Counter(verdict.name for verdict in of_head).most_common(1)[0]
        same = [verdict for verdict in of_head if verdict.name == pattern]
        agreeing = f" in {times} of {len(of_head)} samples" if len(of_head) > 1 else ""
        # One sample stands for all of them: the numbers and the line of code say what the text says.
        typical = sorted(same, key=lambda verdict: verdict.suggestion.keep)[len(same) // 2]
        seen, kept = typical.numbers, typical.suggestion
        lines += [
            f"  Head {of_head[0].head}: {pattern}{agreeing}: {kept.keep} of {kept.of} positions "
            f"({100 * kept.keep / kept.of:.0f} %)",
            f"    enough: top {seen.top}, most recent {seen.recent}, evenly {seen.even}; entropy "
            f"{seen.normalised_entropy:.2f} of ln n",
            *kept.code,
        ]
    return lines


def summary_lines(by_sample: Sequence[Sequence[Verdict]], guides: Mapping[int, GuideInsight], n_sink: int) -> list[str]:
    """A model of many layers at a glance: a row per layer with a letter per head, the commonest verdict over samples.

    Args:
        by_sample: the verdicts of all layers and heads in each sample. guides: by layer.
    """
    heads: dict[int, list[tuple[Verdict, ...]]] = {layer: [] for layer in guides}
    for of_head in zip(*by_sample, strict=True):
        heads[of_head[0].layer].append(of_head)
    every = [verdict for sample in by_sample for verdict in sample]
    n_heads, sinks = len(next(iter(heads.values()))), any(verdict.numbers.given for verdict in every)
    given = [[verdict.numbers.given for of_head in of_layer for verdict in of_head] for of_layer in heads.values()]
    needs = [
        [verdict.suggestion.keep / verdict.suggestion.of for of_head in of_layer for verdict in of_head]
        for of_layer in heads.values()
    ]
    columns = [Column("sinks", tuple(f"{100 * _mean(shares):.0f} %" for shares in given))] if sinks else []
    columns += [
        Column("keep", tuple(f"{100 * _mean(shares):.0f} %" for shares in needs)),
        Column("guide's rule", tuple(guide.pattern for guide in guides.values())),
    ]
    for first in range(0, n_heads, HEADS):
        last = min(first + HEADS, n_heads) - 1
        letters = (
            " "[: n_heads <= HEADS // 2].join(_letter(of_head) for of_head in of_layer[first : last + 1])
            for of_layer in heads.values()
        )
        columns.append(Column(f"heads {first}-{last}", tuple(letters)))
    counts = Counter(verdict.name for verdict in every)
    title = f"SUMMARY: {counted(len(heads), 'layer')} x {counted(n_heads, 'head')}, {counted(len(by_sample), 'sample')}"
    lines = ["", title, "=" * len(title)]
    share = f"{100 * every[0].numbers.share:.0f} % of a head's attention"
    if sinks:
        lines += [
            f"sinks: what the first {n_sink} positions get; they always stay. keep: how many of the",
            f"others hold {share} beside the sinks. By head: r recency,",
            "s sparse, u uniform; R, S, U where the sinks get more than half.",
        ]
    else:
        lines += [f"keep: how many positions hold {share}.", "By head: r recency, s sparse, u uniform."]
    lines += ["", *panels(Column("layer", tuple(map(str, heads))), columns, terminal_width()), ""]
    many = f"Of {len(every)} heads" + (f" ({n_heads * len(heads)} in each sample)" if len(by_sample) > 1 else "")
    lines.append(f"{many}:")
    lines += [f"  {name}: {count} ({100 * count / len(every):.0f} %)" for name, count in counts.most_common()]
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


def advice_lines() -> list[str]:
    """Which of the suggestions to use: the guide's, those by head, or the overall one above these lines."""
    return [
        "",
        "This is the one to use: it is for all layers and heads together, and keeps what",
        "they need on average. By head, one sees how they differ; the guide's rule keeps",
        "10, whatever they need. --verify tests both the guide's suggestion and this one.",
    ]


def _letter(of_head: Sequence[Verdict]) -> str:
    """The letter of the commonest verdict over samples."""
    name = Counter(verdict.name for verdict in of_head).most_common(1)[0][0]
    verdict = next(verdict for verdict in of_head if verdict.name == name)
    letter = LETTERS[verdict.rest]
    return letter.upper() if verdict.pattern == "sinks" else letter


def _mean(values: Sequence[int | float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
