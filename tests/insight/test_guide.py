"""Verdicts at their very limits: on which side of a threshold each number falls, and what is counted at all."""

import dataclasses
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.coverage import Shares, coverage, pattern_of
from keepmap.insight.guide import guide_insight
from keepmap.insight.subjects import subject_of
from keepmap.insight.text_subject import TextSubject
from keepmap.insight.verdicts import suggest, verdicts
from keepmap.language_model import load_language_model
from tests.drawing.profiles import profile_of
from tests.families import build, tokens

COVERED = coverage(Shares.of_query(torch.ones(100)), 0.7)


@dataclasses.dataclass
class Agent:
    """Layers of heads whose query, the last position, attends as the rows [L, H, N] say."""

    rows: Tensor
    name: str = "agent"

    def attention_layers(self, _: object) -> Iterator[AttentionLayer]:
        heads, n = self.rows.shape[1:]
        for layer, rows in enumerate(self.rows):
            bias = torch.zeros(heads, n, n)
            bias[:, -1] = rows.log()
            zero = torch.zeros(heads, n, 2)
            yield AttentionLayer(
                layer=layer,
                queries=zero,
                keys=zero,
                scaling=1.0,
                sees_from=causal(n)[0],
                sees_until=causal(n)[1],
                bias=bias,
            )

    def landmarks(self, _: object) -> Landmarks:
        n = self.rows.shape[2]
        return Landmarks((1,) * n, tuple(range(1, n + 1)), (*(0.0,) * (n - 1), None))


def attending(*heads: dict[int, float], n: int = 40, layers: int = 1) -> AttentionProfile:
    """A profile of an agent whose heads have these weights at these positions, and next to nothing elsewhere."""
    rows = torch.full((1, len(heads), n), 1e-7)
    for number, weights in enumerate(heads):
        for place, weight in weights.items():
            rows[0, number, place] = weight
    return profile_attention(Agent(rows.expand(layers, -1, -1)), None)


OLD, NEW = {3: 0.5, 7: 0.5}, {37: 0.5, 38: 0.5}


@pytest.mark.parametrize(
    ("top", "recent", "even", "expected"),
    [
        (40, 90, 50, ("uniform", 50)),
        (39, 90, 50, ("sparse", 39)),
        (79, 95, 100, ("recency", 95)),
        (10, 20, 90, ("recency", 20)),
        (10, 21, 90, ("sparse", 10)),
        (1, 5, 1, ("uniform", 1)),
        (0, 5, 9, ("sinks", 0)),
    ],
)
def test_each_limit_lies_where_the_document_says(top: int, recent: int, even: int, expected: tuple[str, int]) -> None:
    alike = {"even_top": even, "even_recent": even}  # of one query
    assert pattern_of(dataclasses.replace(COVERED, top=top, recent=recent, even=even, **alike)) == expected


def test_sinks_are_named_above_half() -> None:
    assert not dataclasses.replace(COVERED, given=0.5).sinks
    assert dataclasses.replace(COVERED, given=0.501).sinks


@pytest.mark.parametrize(("n", "k"), [(10, 8), (10, 9), (12, 5), (12, 10)])
def test_rounding_asks_for_no_position_more(n: int, k: int) -> None:
    numbers = coverage(Shares.of_query(torch.full((n,), 0.1, dtype=torch.float64)), k / n)
    assert (numbers.top, numbers.recent, numbers.even) == (k, k, k)


def test_the_quarters_of_a_row_are_its_first_and_its_last() -> None:
    row = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
    numbers = coverage(Shares.of_query(row, given=1.0))
    assert numbers.recent_quarter == pytest.approx(384 / 512)
    assert numbers.recent_distant == pytest.approx(384 / 3)
    assert numbers.given == pytest.approx(1 / 512)
    assert coverage(Shares.of_query(torch.tensor([0.0, 1.0]))).recent_distant == math.inf
    assert math.isnan(coverage(Shares.of_query(torch.tensor([1.0]))).recent_distant)


def test_an_agents_query_is_not_in_its_own_row() -> None:
    profile = attending({3: 0.2, 39: 0.8})
    shares = subject_of(profile).shares(profile, 0, [0])
    row = shares.positions
    assert (len(row), shares.given, shares.first) == (39, 0.0, 0)
    assert float(row[3]) == pytest.approx(0.2, abs=1e-4) and float(row.sum()) < 0.21
    (verdict,) = verdicts(profile)
    assert verdict.numbers.n == 39 and verdict.numbers.top == 1


def test_half_of_the_verdicts_is_no_majority() -> None:
    assert [verdict.pattern for verdict in verdicts(attending(OLD, NEW))] == ["sparse", "recency"]
    tied = suggest(attending(OLD, NEW))
    assert tied.pattern == "mixed" and tied.name == "adaptive"
    assert suggest(attending(OLD, OLD, NEW)).pattern == "sparse"
    assert suggest(attending(NEW, OLD, NEW)).pattern == "recency"


def test_several_profiles_vote_together_and_the_length_is_their_mean_rounded_up() -> None:
    short, long = attending({38: 1.0}), attending(dict.fromkeys(range(35, 39), 0.25))
    assert [suggest(profile).keep for profile in (short, long)] == [1, 3]
    assert suggest([short, long]).keep == 2
    assert suggest([short, short, long]).keep == 2
    assert suggest([short, attending(OLD), attending(OLD)]).pattern == "sparse"


def test_an_agents_length_is_that_of_the_mean_over_heads() -> None:
    heads = [{38 - number: 1.0} for number in range(4)]
    assert suggest(attending(*heads)).keep == 3
    assert suggest(attending(*heads, layers=2)).keep == 3


@pytest.mark.parametrize(("of", "keep"), [(6, 6), (10, 10), (11, 10), (1, 1)])
def test_the_documents_length_is_cut_to_what_there_is(of: int, keep: int) -> None:
    seen = {"recent_distant_ratio": 3.0, "entropy": 1.0}
    suggestion = guide_insight([seen], subject=TextSubject(4), of=of).suggested
    assert (suggestion.keep, suggestion.of) == (keep, of)
    assert suggestion == TextSubject(4).suggestion("recency", keep, of)
    assert guide_insight([seen]).suggested == AgentSubject().suggestion("recency", 10, 10)


@pytest.mark.parametrize(("ratio", "is_spread"), [(1.2, False), (1.19, True)])
def test_spread_is_said_below_its_limit_only(ratio: float, is_spread: bool) -> None:
    lines = guide_insight([{"recent_distant_ratio": ratio, "entropy": 1.7}] * 3).lines
    assert any("spread across history" in line for line in lines) == is_spread


def test_a_density_that_is_whole_hundredths_is_not_rounded_up() -> None:
    suggestion = TextSubject(4).suggestion("sparse", 15, 107)
    assert (suggestion.options["window"], suggestion.options["density"]) == (8, 0.08)
    assert TextSubject(4).suggestion("sparse", 14, 107).options == {"density": 0.07, "n_sink": 4, "window": 7}


def test_query_heads_know_their_kv_head() -> None:
    model = load_language_model(build("llama"))
    assert (model.n_heads, model.n_kv_heads) == (4, 2)
    assert profile_attention(model, tokens(12)).kv_heads == (0, 0, 1, 1)
    assert profile_attention(model, tokens(12), heads=[1, 2]).kv_heads == (0, 1)
    assert profile_of(heads=4).kv_heads == (0, 1, 2, 3)


def test_query_heads_of_other_layers_know_theirs_too() -> None:
    @dataclasses.dataclass
    class Grouped:
        name: str = "grouped"

        def attention_layers(self, _: object) -> Iterator[AttentionLayer]:
            yield AttentionLayer(
                layer=0,
                queries=torch.zeros(6, 5, 2),
                keys=torch.zeros(2, 5, 2),
                scaling=1.0,
                sees_from=causal(5)[0],
                sees_until=causal(5)[1],
            )

    assert profile_attention(Grouped(), None).kv_heads == (0, 0, 0, 1, 1, 1)


def test_labels_say_episode_and_step_in_that_order() -> None:
    assert Landmarks((1, 2), (6, 1), (0.0, None)).labels == ("(1, 6)", "(2, 1)")
    profile = attending(OLD, n=40)
    assert profile.labels is not None and profile.labels[39] == "(1, 40)"
