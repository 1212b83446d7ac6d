"""What a profile says can be dropped: counted, named, put into words, and as code that runs."""

import math
from dataclasses import replace

import pytest
import torch

import compression_strategies
import keepmap
from keepmap.attention.profile import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.agent_subject import COMPRESSORS
from keepmap.insight.coverage import coverage
from keepmap.insight.guide import guide_insight
from keepmap.insight.subjects import subject_of
from keepmap.insight.verdicts import LeadingSinks, Verdict, leading_sinks, suggest, telling_layers, verdicts
from keepmap.language_model import LanguageModel
from tests.drawing.profiles import Chosen
from tests.families import tokens
from tests.insight.suggested import compressor_of


def heads_of(n: int) -> dict[str, torch.Tensor]:
    """Logits [n, n] of heads that attend in a known way, by the name of their verdict; the sinks are 4."""
    distance = (torch.arange(n)[:, None] - torch.arange(n)).double()
    noise = 0.1 * torch.randn(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = torch.tensor([n // 9, n // 5, n // 3])
    heads = {"uniform": noise, "recency": noise - distance / 3, "sparse": noise.clone()}
    heads["sparse"][:, places] += 9
    # The rest of a row adds up to 1 or so: e^2 in each of four sinks is 0.97 of it.
    for name in [*heads]:
        rest = heads[name].masked_fill(distance < 0, -math.inf)
        rest = rest[:, 4:] - rest[:, 4:].logsumexp(1, keepdim=True).nan_to_num(neginf=0.0)
        heads[f"sinks + {name}"] = torch.cat([noise[:, :4] + 2, rest], 1)
    return heads


@pytest.mark.parametrize("n", [60, 300])
def test_heads_that_are_known_get_their_verdicts(n: int) -> None:
    for name, logits in heads_of(n).items():
        (verdict,) = verdicts(keepmap.profile_attention(Chosen(logits), None))
        assert verdict.name == name
        assert verdict.numbers.given > 0.9 if "sinks" in name else verdict.numbers.given < 0.3
        if "sparse" in name:
            assert verdict.suggestion.keep <= 3
        if "recency" in name:
            assert verdict.suggestion.keep == pytest.approx(4, abs=1), "1 - exp(-4 / 3) is 0.74"
        if "uniform" in name:
            assert verdict.suggestion.keep == pytest.approx(0.7 * (n - 4), abs=1)


def test_a_short_text_that_is_attended_to_alike_has_no_sinks() -> None:
    for n in (5, 8, 16):
        profile = keepmap.profile_attention(Chosen(torch.zeros(n, n)), None)
        (verdict,) = verdicts(profile)
        assert verdict.numbers.given > 0.5 and verdict.name == "uniform"
        assert leading_sinks([profile], 0, [[verdict]]) is None


def test_a_layer_looks_at_a_sink_first_wherever_it_is() -> None:
    def at(position: int, weight: float = 5.0) -> AttentionProfile:
        logits = torch.zeros(60, 60)
        logits[:, position] += weight
        return keepmap.profile_attention(Chosen(logits), None)

    def leading(*profiles: AttentionProfile) -> LeadingSinks | None:
        return leading_sinks(profiles, 0, [verdicts(profile) for profile in profiles])

    for position in (0, 2):
        first = leading(at(position), at(position), at(30))
        assert first is not None and first.positions == () and first.share > 0.5 and first.even < 0.25
    late = leading(at(20), at(9), at(0))
    assert late is not None and late.positions == (20, 9) and late.even == pytest.approx(0.02, abs=0.02)
    rows = [float(at(position).shares[0, 0, position]) for position in late.positions]
    assert late.share == pytest.approx(sum(rows) / 2) and late.share > 0.4
    # Position 58 is seen by two queries, and half of the samples are not most of them.
    assert leading(at(58)) is None and leading(at(20), at(0)) is None and leading(at(20, 0.5)) is None


def test_attention_per_query_that_sees_a_position_would_mislead() -> None:
    """What the verdicts were made of before: late positions look important, and the sinks' share halves."""
    profile = keepmap.profile_attention(Chosen(heads_of(300)["sinks + recency"]), None)
    assert float(profile.received.nansum()) > 1.05
    assert float(profile.shares.sum()) == pytest.approx(1)
    torch.testing.assert_close(profile.shares[0, 0, :4].sum(), profile.sink_mass[0, 0].mean())


def _seen(ratio: float, entropy: float) -> dict[str, float]:
    return {"recent_distant_ratio": ratio, "entropy": entropy, "mean": 0.1, "std": 0.1, "max_position": 3}


@pytest.mark.parametrize(
    ("ratio", "entropy", "pattern"),
    [
        (2.01, 3.0, "recency"),
        (4.23, 1.0, "recency"),
        (2.0, 2.01, "uniform"),
        (2.0, 2.0, "mixed"),
        (1.5, 1.5, "mixed"),
        (1.5, 1.49, "sparse"),
        (1.1, 1.0, "sparse"),
        (math.nan, 1.7, "mixed"),
    ],
)
def test_the_first_of_the_documents_patterns_decides(ratio: float, entropy: float, pattern: str) -> None:
    insight = guide_insight([_seen(ratio, entropy)] * 3)
    assert insight.pattern == pattern
    assert insight.lines[-2 if not math.isnan(ratio) else -3].startswith("💡 INSIGHT: ")
    assert ("Attention is spread across history!" in insight.lines[0]) == (ratio < 1.2)
    maker, option = COMPRESSORS[pattern].__name__, COMPRESSORS[pattern].length_option
    assert insight.suggestion == f"from compression_strategies import {maker}; compressor = {maker}({option}=10)"
    assert compressor_of(insight.suggested) == getattr(compression_strategies, maker)(**{option: 10})


def test_recency_is_said_in_the_documents_words() -> None:
    assert guide_insight([_seen(ratio, 1.89) for ratio in (4.23, 4.3, 4.1)]).lines == (
        "💡 INSIGHT: Strong recency bias detected!",
        "   Consider compressing or removing distant history.",
    )


@pytest.mark.parametrize(
    ("samples", "independent", "lines"),
    [
        ([(1.9, 3.0), (2.9, 3.1), (2.6, 2.9)], True, ("a recency bias", "ratio 2.47 [", ", threshold 2.0.")),
        ([(4.23, 1.0)] * 2, True, ("a recency bias", "ratio 4.23 of 2 samples", ", threshold 2.0.")),
        ([(4.23, 1.0)] * 5, False, ("a recency bias", "ratio 4.23 of 5 samples of one life", ", threshold 2.0.")),
        ([(1.5, 2.5), (1.4, 1.6), (1.6, 2.2)], True, ("a high attention", "entropy 2.10 [", ", threshold 2.0.")),
        ([(1.5, 0.5), (1.4, 1.7), (1.6, 0.9)], True, ("a low attention", "entropy 1.03 [", ", threshold 1.5.")),
        ([(1.5, 1.6), (1.4, 1.9), (1.6, 1.7)], True, ("a complex/mixed", "1.73 [", "], thresholds 1.5 and 2.0.")),
        ([(1.0, 1.7), (1.3, 1.7), (1.2, 1.7)], True, ("attention is spread", "ratio 1.17 [", ", threshold 1.2.")),
    ],
)
def test_what_few_or_scattered_samples_say_is_not_certain(
    samples: list[tuple[float, float]], independent: bool, lines: tuple[str, str, str]
) -> None:
    headline, numbers, _ = guide_insight([_seen(*sample) for sample in samples], independent=independent).lines[:3]
    assert headline.startswith(f"💡 INSIGHT: perhaps {lines[0]}") and headline.endswith(", not certain:")
    assert lines[1] in numbers and numbers.endswith(lines[2]) and len(numbers) <= 80


def test_samples_are_averaged_and_those_without_a_ratio_left_out() -> None:
    insight = guide_insight([_seen(1.0, 1.0), _seen(5.0, 3.0), _seen(math.nan, 2.0)])
    assert (insight.ratio, insight.entropy, insight.n, insight.n_ratios) == (3.0, 2.0, 3, 2)
    none = guide_insight([_seen(math.nan, 0.5)])
    assert none.n_ratios == 0 and math.isnan(none.ratio) and "long enough" in none.lines[-1]
    with pytest.raises(InputError, match="to be of one sample or more, got none"):
        guide_insight([])


def test_a_verdict_for_every_layer_and_head(profile: AttentionProfile) -> None:
    numbers = verdicts(profile, share=0.8)
    assert [(verdict.layer, verdict.head) for verdict in numbers] == [
        (layer, head) for layer in (0, 1) for head in range(4)
    ]
    for verdict in numbers:
        shares = subject_of(profile).shares(profile, verdict.layer, [verdict.head])
        assert shares.first == 4 and len(shares.positions) == verdict.numbers.n == 56
        assert verdict.numbers == coverage(shares, 0.8)
        assert str(verdict).startswith(
            f"layer {verdict.layer} head {verdict.head}: {verdict.pattern}: 80 % of the attention is in "
        )
        assert all(len(line) <= 80 for line in verdict.lines[:-1])
        assert verdict.lines[-1].strip() == verdict.suggestion.line


def test_one_query_alone_can_decide(profile: AttentionProfile, language_model: LanguageModel) -> None:
    last = keepmap.profile_attention(language_model, tokens(60), queries="last")
    for verdict, same in zip(verdicts(profile, 59), verdicts(last), strict=True):
        assert verdict.pattern == same.pattern and verdict.numbers.top == same.numbers.top
    shares = subject_of(profile).shares(profile, 1, [2], 59)
    assert float(shares.positions.sum()) + shares.given == pytest.approx(1)
    torch.testing.assert_close(shares.positions, profile.rows[1, 2, 0, 4:].double())
    torch.testing.assert_close(shares.ages, profile.rows[1, 2, 0, 4:].double().flip(0))


def test_the_suggestion_for_all_is_what_most_need(profile: AttentionProfile) -> None:
    suggestion = suggest(profile)
    assert suggestion == suggest([profile, profile])
    assert suggestion.name in {verdict.suggestion.name for verdict in verdicts(profile)} | {"observed_attention"}
    more = suggest(profile, share=0.95)
    assert more.keep > suggestion.keep
    with pytest.raises(InputError, match="`profiles` to be .* got none"):
        suggest([])


def test_what_cannot_be_judged(profile: AttentionProfile, language_model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"query 3 .* queries=\[3\]"):
        verdicts(profile, 3)
    eviction = keepmap.evict(language_model, tokens(60), "random", density=0.5, window=8)
    evicted = keepmap.profile_attention(language_model, tokens(60), keep_map=eviction.keep_map)
    with pytest.raises(InputError, match="under eviction"):
        verdicts(evicted)
    short = keepmap.profile_attention(language_model, tokens(4))
    with pytest.raises(InputError, match="n_sink=0"):
        verdicts(short)


def test_the_layers_that_tell_most_are_a_sixth_with_both_ends(profile: AttentionProfile) -> None:
    (verdict,) = verdicts(profile)[:1]

    def sample(given: list[float]) -> list[Verdict]:
        return [
            replace(verdict, layer=layer, numbers=replace(verdict.numbers, given=share))
            for layer, share in enumerate(given)
        ]

    given = [0.01 * ((7 * layer) % 30) for layer in range(30)]
    chosen = telling_layers([sample(given)])
    assert len(chosen) == 5 and {given.index(min(given)), given.index(max(given))} < set(chosen)
    assert [round(100 * share) for share in sorted(given[layer] for layer in chosen)] == [0, 7, 14, 22, 29]
    # Several samples count by their mean.
    once, twice = [0.4] * 30, [0.4] * 30
    once[3], once[5], twice[5] = 0.9, 0.8, 0.8
    assert 5 in telling_layers([sample(once), sample(twice)])
    assert 3 in telling_layers([sample(once)])
    assert telling_layers([sample([0.3, 0.1])]) == (0, 1)
    assert len(telling_layers([sample([0.1] * 12)])) == 4
