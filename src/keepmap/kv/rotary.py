"""Turning queries and keys by rotary angles, and back.

N positions · D head dimension · F rotated pairs (2F <= D).
"""

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from keepmap.kv.method import Rotation

__all__ = ["mean_future", "turned", "unrotated"]


def turned(
    vectors: Float[Tensor, "*heads N D"], turn: Complex[Tensor, "#N F"], rotation: Rotation
) -> Float[Tensor, "*heads N D"]:
    """Multiply each rotated pair by a complex number per position; dimensions beyond 2F stay as they are."""
    pairs = rotation.frequency.numel()
    rotated, rest = vectors[..., : 2 * pairs], vectors[..., 2 * pairs :]
    real, imaginary = turn.real.to(vectors.dtype), turn.imag.to(vectors.dtype)
    # (first, second) becomes (first * real - second * imaginary, second * real + first * imaginary).
    if rotation.interleaved:
        swapped = rotated.unflatten(-1, (pairs, 2)).flip(-1).flatten(-2)
        real, imaginary = real.repeat_interleave(2, dim=-1), torch.stack((-imaginary, imaginary), dim=-1).flatten(-2)
    else:
        swapped = torch.cat((rotated[..., pairs:], rotated[..., :pairs]), dim=-1)
        real, imaginary = torch.cat((real, real), dim=-1), torch.cat((-imaginary, imaginary), dim=-1)
    both = swapped.mul_(imaginary).addcmul_(rotated, real)
    return torch.cat((both, rest), dim=-1) if rest.shape[-1] else both


def unrotated(vectors: Float[Tensor, "*heads N D"], rotation: Rotation, first: int = 0) -> Float[Tensor, "*heads N D"]:
    """Undo the rotation of positions `first` and those that follow, scale included."""
    positions = torch.arange(first, first + vectors.shape[-2], device=vectors.device)
    turn = torch.polar(
        torch.full((), 1.0 / rotation.scale, dtype=torch.float64, device=vectors.device), -_angles(rotation, positions)
    )
    return turned(vectors, turn, rotation)


def mean_future(rotation: Rotation, after: Int[Tensor, " K"], n_future: int) -> Complex[Tensor, "K F"]:
    """For each step, the mean of the rotations of the positions after+1 .. after+n_future, scale included."""
    steps = torch.arange(1, n_future + 1, device=after.device)
    scale = torch.full((), rotation.scale, dtype=torch.float64, device=after.device)
    mean = torch.polar(scale, _angles(rotation, steps)).mean(dim=0)
    return torch.polar(torch.ones_like(scale), _angles(rotation, after)) * mean


def _angles(rotation: Rotation, positions: Int[Tensor, " K"]) -> Float[Tensor, "K F"]:
    """The product in float32, as models compute it; its sine and cosine in float64."""
    return (positions.float()[:, None] * rotation.frequency.float()).double()
