"""Find a layer's rotary embedding: its frequencies, its scale and which dimensions make a pair.

Nothing in transformers says these uniformly. Candidates are read from the model's buffers, and one is believed only if
it reproduces the layer's cosines and sines, and turns the layer's queries back into what they were before.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepmap.errors import ModelError
from keepmap.kv.method import Rotation
from keepmap.kv.passes import LayerCall, queries_unturned
from keepmap.kv.scoring.rotary import unrotated

__all__ = ["rotation_of"]

_CHECKED = 8
"""Positions on which a candidate is checked against the layer itself."""
_COMPARED = 256
"""Positions, from the first to the last, whose cosines and sines it is to reproduce."""


def rotation_of(model: nn.Module, call: LayerCall) -> Rotation | None:
    """The rotation of one layer's queries and keys, None where it has none.

    Raises:
        ModelError: the layer turns its queries in a way that no buffer of the model explains.
    """
    if call.rotary is None:
        return None
    queries = call.queries[:, :_CHECKED].double()
    plain = queries_unturned(call, min(_CHECKED, queries.shape[1])).double()
    if _close(queries, plain, call.queries.dtype):
        # Either the layer does not rotate (NoPE), or there is nothing but position 0 to see it on.
        return None if queries.shape[1] > 1 else _first(model, call)
    for candidate in _candidates(model, call):
        if _close(unrotated(queries, candidate), plain, call.queries.dtype):
            return candidate
    raise ModelError(
        f"{type(model).__name__} is not supported by expected_attention: no buffer explains the rotation of layer "
        f"{call.layer}; leave expected_attention out of `methods`"
    )


def _first(model: nn.Module, call: LayerCall) -> Rotation | None:
    return next(iter(_candidates(model, call)), None)


def _candidates(model: nn.Module, call: LayerCall) -> list[Rotation]:
    """Rotations that reproduce the cosines and sines that the layer turns by."""
    assert call.rotary is not None
    n = call.rotary[0].shape[0]
    at = torch.linspace(0, n - 1, min(n, _COMPARED), device=call.rotary[0].device).long()
    cosines, sines = (part[at].double() for part in call.rotary)
    tolerance = 8 * torch.finfo(call.rotary[0].dtype).eps + 1e-5
    positions = at.float()[:, None]
    explaining = []
    for frequency in _frequencies(model):
        pairs = frequency.numel()
        angles = (positions * frequency.to(cosines.device)).double()
        own = angles.cos(), angles.sin()
        scale = float(cosines[0].mean())
        # Given once per pair, once per half, or each value twice.
        layouts = [(1, 1, False)] if cosines.shape[1] == pairs else [(1, 2, False), (2, 1, True)]
        for each, whole, interleaved in layouts:
            if cosines.shape[1] != pairs * each * whole:
                continue
            laid_out = [scale * part.repeat_interleave(each, dim=1).repeat(1, whole) for part in own]
            worst = torch.maximum((cosines - laid_out[0]).abs(), (sines - laid_out[1]).abs())
            if float(worst.max()) <= tolerance * max(scale, 1.0):
                explaining.append(Rotation(frequency.to(cosines.device), scale, interleaved))
    return explaining


def _frequencies(model: nn.Module) -> list[Float[Tensor, " F"]]:
    return [
        buffer.detach().float()
        for name, buffer in model.named_buffers()
        if name.endswith("inv_freq") and not name.endswith("original_inv_freq")
    ]


def _close(actual: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    return bool(
        (actual - expected).abs().max() <= (16 * torch.finfo(dtype).eps + 1e-5) * max(float(expected.abs().max()), 1e-9)
    )
