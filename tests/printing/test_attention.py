"""The console's lines about attention: figures, the guide's insight, verdicts and the overall suggestion."""

import math
from dataclasses import replace

import pytest

from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.guide import guide_insight
from keepmap.insight.text_subject import TextSubject
from keepmap.insight.verdicts import LeadingSinks, Verdict, verdicts
from keepmap.printing.attention import (
    insight_lines,
    overall,
    sample_block,
    sink_lines,
    suggestion_lines,
    summary_lines,
    verdict_lines,
)
from tests.drawing.profiles import profile_of

FIGURES = {"mean": 0.1, "std": 0.05, "max_position": 3, "recent_distant_ratio": 4.0, "entropy": 1.25}


def test_a_ratio_that_is_none_is_a_dash() -> None:
    lines = sample_block("Sample 1", profile_of(n=9), FIGURES | {"recent_distant_ratio": math.nan})
    assert lines[:4] == ["", "Sample 1:", "  Sequence length: 9", "  Context tokens: 8"]
    assert lines[-2:] == ["  Recent/Distant ratio: -", "  Attention entropy: 1.25"]
    assert sample_block("Sample 1", profile_of(n=9), FIGURES)[-2] == "  Recent/Distant ratio: 4.00"


def test_means_are_of_two_samples_or_more() -> None:
    assert overall([FIGURES]) == []
    lines = overall([FIGURES, FIGURES | {"mean": 0.3}])
    assert lines[1] == "Over 2 samples, means:"
    assert lines[2].startswith("  Mean context attention: 0.2000")
    three = [FIGURES, FIGURES | {"mean": 0.3}, FIGURES]
    assert "0.1667 [" in overall(three)[2] and overall(three)[1].endswith("means and their 95 % intervals:")
    moments = overall(three, independent=False)
    assert moments[1] == "Over 3 samples of one life, means:" and "[" not in "".join(moments)


def test_the_guides_insight_ends_in_its_code() -> None:
    assert insight_lines(guide_insight([FIGURES]))[-3:] == [
        "",
        "from compression_strategies import RecencyCompressor",
        "compressor = RecencyCompressor(keep_recent=10)",
    ]


def test_verdicts_of_several_samples_say_how_many_agree() -> None:
    one_head = verdicts(profile_of(heads=1, layers=1))
    several, alone = verdict_lines([one_head, one_head]), verdict_lines([one_head])
    assert several[2] == "  (each head's numbers are of one sample: of those that agree, the median one)"
    assert " in 2 of 2 samples: " in several[3]
    assert " samples" not in alone[2]


def test_all_numbers_of_a_head_are_of_one_sample() -> None:
    (head,) = verdicts(profile_of(heads=1, layers=1, n=112))
    samples = [
        (
            replace(
                head,
                pattern="recency",
                rest="recency",
                numbers=replace(head.numbers, recent=recent, top=recent - 3, normalised_entropy=recent / 100),
                suggestion=AgentSubject().suggestion("recency", recent, 110),
            ),
        )
        for recent in (9, 80, 18, 17, 29)
    ]
    assert verdict_lines(samples)[3:] == [
        "  Head 0: recency in 5 of 5 samples: 18 of 110 positions (16 %)",
        f"    enough: top 15, most recent 18, evenly {head.numbers.even}; entropy 0.18 of ln n",
        "from compression_strategies import RecencyCompressor",
        "compressor = RecencyCompressor(keep_recent=18)",
    ]


def test_the_overall_suggestion() -> None:
    lines = suggestion_lines(AgentSubject().suggestion("uniform", 5, 20))
    assert lines[3] == "uniform: keep 5 of 20 positions (25 %)"
    assert lines[-1] == "compressor = UniformCompressor(target_length=5)"
    assert suggestion_lines(TextSubject(4).suggestion("recency", 6, 60))[-2:] == [
        'keepmap.evict(language_model, input_ids, "streaming_llm",',
        "    density=0.06, n_sink=4, window=3)",
    ]


def test_a_layer_of_sinks_is_read_as_that_and_the_guides_rule_as_the_guides() -> None:
    by_head = verdicts(profile_of(heads=2, layers=1))
    first = LeadingSinks(positions=(), share=0.62, even=0.08)
    insight = guide_insight([FIGURES | {"recent_distant_ratio": 0.3, "entropy": 2.93}] * 3)
    assert "High attention entropy" in "\n".join(insight.lines)
    lines = sink_lines(insight, first, [by_head, by_head], 4)
    assert lines[1:3] == [
        "💡 INSIGHT: Attention sink! The first 4 positions get 62 % of the attention",
        "   (8 % if all were attended to alike), and always stay.",
    ]
    assert "High attention entropy" not in "\n".join(lines)
    assert lines[5:7] == [
        "By the guide's rule, which knows no sinks: uniform",
        "   (recent/distant ratio 0.30, entropy 2.93 nats)",
    ]
    assert lines[-2] == "from compression_strategies import UniformCompressor"
    # What the guide promises stands as it does there.
    recency = sink_lines(guide_insight([FIGURES] * 3), first, [by_head], 4)
    assert recency[6:8] == [
        "💡 INSIGHT: Strong recency bias detected!",
        "   Consider compressing or removing distant history.",
    ]
    late = LeadingSinks(positions=(20, 35, 1017, 1020, 1037, 8), share=0.27, even=0.01)
    beyond = sink_lines(insight, late, [by_head], 4)
    assert beyond[1:3] == [
        "💡 INSIGHT: Attention sink! One position of a text gets 27 % of the attention",
        "   (1 % if all were attended to alike): 20, 35, 1017, 1020, 1037, ...",
    ]
    assert "High attention entropy" not in "\n".join(beyond)
    assert all(len(line) <= 80 for line in [*lines, *recency, *beyond])


@pytest.mark.parametrize("heads", [9, 40])
def test_the_summary_is_a_row_per_layer_with_a_letter_per_head(heads: int) -> None:
    by_head = verdicts(profile_of(heads=heads, layers=30, n=30))
    names = [("recency", False), ("sparse", True), ("uniform", False)]

    def sample(shift: int) -> list[Verdict]:
        return [
            replace(verdict, rest=rest, pattern="sinks" if sinks else rest)
            for verdict in by_head
            for rest, sinks in [names[(verdict.head + (shift if verdict.layer == 7 else 0)) % 3]]
        ]

    guides = {layer: guide_insight([FIGURES]) for layer in range(30)}
    lines = summary_lines([sample(0), sample(0), sample(1)], guides, 4)
    rows = [line for line in lines if line.split()[:1] == ["7"]]
    letters = "".join("rSu"[head % 3] for head in range(heads))
    assert len(lines) < 60 if heads == 9 else len(lines) < 90
    assert all(len(line) <= 80 for line in lines)
    assert f"30 layers x {heads} heads, 3 samples" in lines[1]
    if heads == 40:
        assert rows[0].split()[-2:] == [letters[:32], letters[32:]]
    else:
        assert rows[0].split()[-9:] == list(letters)
        assert rows[0].split()[:1] + rows[0].split()[5:6] == ["7", "recency"]
    assert any(line.startswith("  sinks + sparse: ") for line in lines)
