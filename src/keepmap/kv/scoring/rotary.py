"""Turning queries and keys by rotary angles, and back.

N positions · D head dimension · F rotated pairs (2F <= D).
"""

from functools import lru_cache

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from keepmap.kv.method import Rotation

__all__ = ["mean_future", "turned", "unrotated", "unrotated_at"]

_KEPT = 1 << 13
"""Positions whose turns are kept: 4 MiB for 32 pairs."""


def turned(
    vectors: Float[Tensor, "*heads N D"], turn: Complex[Tensor, "#N F"], rotation: Rotation
) -> Float[Tensor, "*heads N D"]:
    """Multiply each rotated pair by a complex number per position; dimensions beyond 2F stay as they are."""
    pairs = rotation.frequency.numel()
    interleaved = (slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2))
    first, second = interleaved if rotation.interleaved else (slice(0, pairs), slice(pairs, 2 * pairs))
    real, imaginary = turn.real.to(vectors.dtype), turn.imag.to(vectors.dtype)
    # Like `vectors` in memory too: joined halves would be copies, and slow ones where a view is turned.
    out = torch.empty_like(vectors)
    for own, other, sign in ((first, second, -1), (second, first, 1)):
        torch.mul(vectors[..., own], real, out=out[..., own]).addcmul_(vectors[..., other], imaginary, value=sign)
    out[..., 2 * pairs :] = vectors[..., 2 * pairs :]
    return out


def unrotated(vectors: Float[Tensor, "*heads N D"], rotation: Rotation, first: int = 0) -> Float[Tensor, "*heads N D"]:
    """Undo the rotation of positions `first` and those that follow, scale included."""
    end = first + vectors.shape[-2]
    return turned(vectors, _turns(rotation, end, vectors.device)[first:end].conj() / rotation.scale, rotation)


def unrotated_at(
    vectors: Float[Tensor, "*heads K D"], rotation: Rotation, positions: Int[Tensor, " K"]
) -> Float[Tensor, "*heads K D"]:
    """Undo the rotation of these positions, scale included."""
    turns = _turns(rotation, int(positions.max()) + 1, vectors.device)
    return turned(vectors, turns[positions].conj() / rotation.scale, rotation)


def mean_future(rotation: Rotation, after: Int[Tensor, " K"], n_future: int) -> Complex[Tensor, "K F"]:
    """For each step, the mean of the rotations of the positions after+1 .. after+n_future, scale included."""
    turns = _turns(rotation, max(n_future, int(after.max())) + 1, after.device)
    return turns[after] * (rotation.scale * turns[1 : n_future + 1].mean(dim=0))


def _turns(rotation: Rotation, n: int, device: torch.device) -> Complex[Tensor, "n F"]:
    """The rotation of each of the first `n` positions, without its scale; kept, since layers rotate alike."""
    make = _kept_turns if n <= _KEPT else _made_turns
    return make(tuple(rotation.frequency.tolist()), max(_KEPT, n), device)


def _made_turns(frequency: tuple[float, ...], n: int, device: torch.device) -> Complex[Tensor, "n F"]:
    # The product in float32, as models compute it; its sine and cosine in float64.
    angles = torch.arange(n, device=device).float()[:, None] * torch.tensor(frequency, device=device)
    return torch.polar(torch.ones((), dtype=torch.float64, device=device), angles.double())


_kept_turns = lru_cache(maxsize=2)(_made_turns)
