"""Random: each draw is that of (seed, layer, head, position) alone, as SplitMix64 gives it."""

import pytest
import torch

from keepmap.kv.methods.random import Random
from tests.kv.methods.layers import layer_input

BITS = (1 << 64) - 1


def stirred(state: int) -> int:
    """One step of SplitMix64, in Python's integers."""
    state = (state + 0x9E3779B97F4A7C15) & BITS
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & BITS
    return state ^ (state >> 31)


@pytest.mark.parametrize("layer", [0, 3])
def test_a_draw_is_that_of_its_seed_layer_head_and_position(layer):
    scores = Random().score(layer_input(layer=layer, seed=7))
    for head in range(2):
        for position in range(20):
            state = stirred(stirred(stirred(stirred(7) + layer) + head) + position)
            assert float(scores[head, position]) == (state >> 40) / 2**24


def test_a_draw_depends_on_nothing_else():
    short = Random().score(layer_input(n=9))
    long = Random().score(layer_input(n=20, heads=3, keys=torch.ones(3, 20, 8)))
    assert torch.equal(short, long[:2, :9])
    assert not torch.equal(short, Random().score(layer_input(n=9, seed=6)))


def test_a_threshold_keeps_what_lies_above_it():
    scores = Random().score(layer_input(n=4000, heads=4, keys=torch.ones(4, 4000, 8)))
    assert scores.min() >= 0 and scores.max() < 1
    for threshold in (0.15, 0.5, 0.85):
        assert float((scores >= threshold).double().mean()) == pytest.approx(1 - threshold, abs=0.02)
