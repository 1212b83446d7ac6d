"""The words above a figure of a KeepMap."""

import pytest
import torch

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.parts.caption import describe, rule_of


def keep_map(
    threshold: float | None = None, evicted: bool = True, context_length: int | None = None, **info: object
) -> KeepMap:
    expires = torch.tensor([[[2, 4, 4, 4] if evicted else [4, 4, 4, 4]]])
    return KeepMap(expires, torch.zeros(1, 1, 4), threshold=threshold, context_length=context_length, info=info)


@pytest.mark.parametrize(
    ("kept", "rule"),
    [
        (keep_map(threshold=0.85), "threshold 0.85"),
        (keep_map(density=0.2), "density 0.2"),
        (keep_map(budget=64), "budget 64"),
        (keep_map(evicted=False), "nothing evicted"),
        (keep_map(), "rule not recorded"),
    ],
)
def test_the_rule_is_what_decided(kept: KeepMap, rule: str) -> None:
    assert rule_of(kept) == rule


def test_a_map_is_described_in_one_line() -> None:
    described = keep_map(budget=3, label="H2O", method="h2o", model="/srv/models/mine", chunk_size=7)
    assert describe(described) == "H2O · budget 3 · mine · chunks of 7"
    assert describe(keep_map(budget=3, method="h2o", chunk_size=1)) == "h2o · budget 3"
    assert describe(keep_map(budget=3, context_length=4)) == "KeepMap · budget 3 · cut once after 4"
    assert describe(keep_map(budget=3)) == "KeepMap · budget 3"
