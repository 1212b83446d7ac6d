"""Rotations against complex numbers and 2 x 2 matrices, one pair at a time."""

import math

import pytest
import torch

from keepmap.kv.method import Rotation
from keepmap.kv.scoring.rotary import mean_future, turned, unrotated

FREQUENCY = torch.tensor([1.0, 0.25, 0.01])


def pairs(rotation):
    """Which dimensions are turned together."""
    return [(2 * f, 2 * f + 1) if rotation.interleaved else (f, f + 3) for f in range(3)]


def rotate(vectors, rotation, sign=1):
    """Every pair of every position turned by position * frequency, in loops."""
    out = vectors.clone()
    for position in range(vectors.shape[-2]):
        for f, (first, second) in enumerate(pairs(rotation)):
            angle = sign * position * float(FREQUENCY[f])
            a, b = vectors[..., position, first], vectors[..., position, second]
            out[..., position, first] = rotation.scale * (a * math.cos(angle) - b * math.sin(angle))
            out[..., position, second] = rotation.scale * (a * math.sin(angle) + b * math.cos(angle))
    return out


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_unrotated_undoes_the_rotation_and_leaves_what_is_not_rotated(interleaved, scale):
    rotation = Rotation(FREQUENCY, scale, interleaved)
    plain = torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotated = rotate(plain, rotation)
    torch.testing.assert_close(unrotated(rotated, rotation), plain, rtol=1e-6, atol=1e-6)
    assert torch.equal(rotated[..., 6:], unrotated(rotated, rotation)[..., 6:])


def test_unrotated_from_a_later_position_on():
    rotation = Rotation(FREQUENCY, 1.3, True)
    rotated = torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(unrotated(rotated[:, 4:], rotation, 4), unrotated(rotated, rotation)[:, 4:])


@pytest.mark.parametrize("interleaved", [False, True])
def test_turned_multiplies_each_pair_by_its_number(interleaved):
    rotation = Rotation(FREQUENCY, 1.0, interleaved)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(4, 8, generator=generator, dtype=torch.float64)
    turn = torch.randn(4, 3, generator=generator, dtype=torch.complex128)
    result = turned(vectors, turn, rotation)
    for position in range(4):
        for f, (first, second) in enumerate(pairs(rotation)):
            number = complex(vectors[position, first], vectors[position, second]) * complex(turn[position, f])
            assert complex(result[position, first], result[position, second]) == pytest.approx(number)


def test_the_mean_of_future_rotations():
    rotation = Rotation(FREQUENCY, 1.5, False)
    result = mean_future(rotation, torch.tensor([0, 7]), 20)
    for row, after in enumerate((0, 7)):
        for f in range(3):
            angles = [position * float(FREQUENCY[f]) for position in range(after + 1, after + 21)]
            mean = 1.5 * sum(complex(math.cos(angle), math.sin(angle)) for angle in angles) / 20
            assert complex(result[row, f]) == pytest.approx(mean, rel=1e-6)
