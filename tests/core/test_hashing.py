"""Random numbers by hashing, against SplitMix64 in plain integers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.hashing import seeded, stir, uniform

CPU = torch.device("cpu")
MASK = (1 << 64) - 1


def split_mix(state: int) -> int:
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def test_the_first_number_is_the_published_one() -> None:
    # The first output of SplitMix64 from state 0.
    assert stir(torch.tensor(0)).item() == signed(0xE220A8397B1DCDAF)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_step_is_split_mix(state: int) -> None:
    assert stir(torch.tensor([state])).tolist() == [signed(split_mix(state & MASK))]


@given(st.integers(-(2**70), 2**70))
def test_a_seed_counts_modulo_2_to_the_64(seed: int) -> None:
    assert seeded(seed, CPU) == seeded(seed + 2**64, CPU) == signed(split_mix(seed & MASK))
    assert seeded(seed, CPU) != seeded(seed + 1, CPU)


@pytest.mark.parametrize(("bits", "share"), [(0, 0.0), (-1, 1 - 2**-24), (1 << 62, 0.25), (-(1 << 63), 0.5), (1, 0.0)])
def test_the_top_bits_are_a_share(bits: int, share: float) -> None:
    drawn = uniform(torch.tensor(bits))
    assert drawn.dtype == torch.float32 and drawn.item() == share


def test_draws_are_uniform_and_depend_on_what_they_are_for() -> None:
    draws = uniform(stir(seeded(3, CPU) + torch.arange(100_000)))
    assert draws.min() >= 0 and draws.max() < 1
    counts = torch.histc(draws, bins=20, min=0, max=1)
    assert (counts - 5000).abs().max() < 6 * 5000**0.5
    one_by_one = torch.stack([uniform(stir(seeded(3, CPU) + index)) for index in range(20)])
    assert torch.equal(draws[:20], one_by_one)
    assert abs(torch.corrcoef(torch.stack([draws[:-1], draws[1:]]))[0, 1]) < 0.02
