"""What the test by deletion keeps: of each KV head by its own query heads, as many at random, and what always stays."""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from keepmap.attention.profiling import profile_attention
from keepmap.insight.coverage import Shares
from keepmap.insight.deletions import Deletions, at_random, by_kv_head, by_pattern, by_share
from keepmap.insight.guide import guide_insight
from keepmap.insight.text_subject import TextSubject
from keepmap.insight.verify_texts import N_SINK
from keepmap.language_model import load_language_model
from tests.families import build, tokens

HALF = 24


def chosen(received: list[dict[int, float]], rule: str = "ours", n_sink: int = N_SINK) -> tuple[Tensor, Tensor]:
    """What is kept and what stays in a model of 4 query heads and 2 KV heads, of heads that attend to these."""
    language_model = load_language_model(build("llama"))
    profile = profile_attention(language_model, tokens(HALF), n_sink=n_sink, hold=False)
    weights = torch.full_like(profile.shares, 1e-7)
    for head, places in enumerate(received):
        for place, weight in places.items():
            weights[:, head, place] = weight
    # Nothing stands out by its age.
    ages = (weights[..., n_sink:].sum(-1, keepdim=True) / (HALF - n_sink)).expand_as(weights)
    profile = dataclasses.replace(profile, shares=weights, shares_by_age=ages, rows=weights[:, :, None].clone())
    sparse = {"recent_distant_ratio": 1.5, "entropy": 1.0}
    guides = [guide_insight([sparse], subject=TextSubject(n_sink), of=2)] * 2
    choice = by_kv_head(profile, 1, rule, Deletions(guides, 0.7, 1, 0))
    return choice.kept, choice.stays


def places(kept: Tensor) -> list[list[int]]:
    return [row.nonzero()[:, 0].tolist() for row in kept]


def test_a_kv_head_keeps_what_its_own_query_heads_attend_to() -> None:
    kept, stays = chosen([{6: 1.0}, {7: 1.0}, {12: 1.0}, {13: 1.0}])
    assert places(kept) == [[6, 7], [12, 13]]
    assert places(stays[None]) == [[0, 1, 2, 3, 23]]


def test_the_guides_rule_is_one_for_the_layer() -> None:
    kept, _ = chosen([{6: 1.0}, {7: 0.9}, {12: 0.8}, {13: 0.7}], rule="guide")
    assert places(kept) == [[6, 7], [6, 7]]


def test_the_rest_is_kept_however_much_goes_to_the_sinks() -> None:
    kept, _ = chosen([{2: 0.65, 6: 0.2, 9: 0.15}] * 2 + [{2: 0.9, 6: 0.1}] * 2)
    assert places(kept) == [[6, 9], [6]]


def test_random_keeps_as_many_of_each_head_of_all_that_may_go() -> None:
    stays = torch.tensor([1, 0, 0, 0, 0, 0, 0, 1], dtype=torch.bool)
    kept = torch.zeros(3, 8, dtype=torch.bool)
    kept[1, 2:4] = kept[2, 1:7] = True
    rng, seen = np.random.default_rng(0), torch.zeros(3, 8)
    for _ in range(60):
        drawn = at_random(kept, stays, rng)
        assert drawn.sum(1).tolist() == [0, 2, 6] and not (drawn & stays).any()
        seen += drawn
    assert (seen[1, 1:7] > 0).all() and len(set(seen[1, 1:7].tolist())) > 1


def test_what_stays_is_never_counted_as_kept() -> None:
    row, stays = torch.tensor([0.3, 0.1, 0.2, 0.4]), torch.tensor([False, False, False, True])
    assert by_pattern("sparse", 2, row, stays).kept.tolist() == [True, False, False, False]
    assert by_pattern("recency", 3, row, stays).kept.tolist() == [False, True, True, False]
    assert by_pattern("sinks", 2, row, stays).kept.tolist() == [False, False, True, False]
    assert not by_pattern("sinks", 0, row, stays).kept.any()
    assert by_share(Shares.of_query(torch.tensor([0.9, 0.02, 0.02, 0.06])), 0.7, stays).kept.tolist() == [
        True,
        False,
        False,
        False,
    ]
