"""The console's lines about attention: figures, the guide's insight, verdicts and the overall suggestion."""

import math

from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.guide import guide_insight
from keepmap.insight.text_subject import TextSubject
from keepmap.insight.verdicts import verdicts
from keepmap.printing.attention import insight_lines, overall, sample_block, suggestion_lines, verdict_lines
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


def test_the_guides_insight_ends_in_its_code() -> None:
    assert insight_lines(guide_insight([FIGURES]))[-3:] == [
        "",
        "from compression_strategies import RecencyCompressor",
        "compressor = RecencyCompressor(keep_recent=10)",
    ]


def test_verdicts_of_several_samples_say_how_many_agree() -> None:
    one_head = verdicts(profile_of(heads=1, layers=1))
    assert " in 2 of 2 samples: " in verdict_lines([one_head, one_head])[2]
    assert " samples" not in verdict_lines([one_head])[2]


def test_the_overall_suggestion() -> None:
    lines = suggestion_lines(AgentSubject().suggestion("uniform", 5, 20))
    assert lines[3] == "uniform: keep 5 of 20 positions (25 %)"
    assert lines[-1] == "compressor = UniformCompressor(target_length=5)"
    assert suggestion_lines(TextSubject(4).suggestion("recency", 6, 60))[-2:] == [
        'keepmap.evict(language_model, input_ids, "streaming_llm",',
        "    density=0.06, n_sink=4, window=3)",
    ]
