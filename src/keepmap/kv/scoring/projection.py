"""What an entry's value adds to a layer's output at most: its length behind the output projection.

G KV head · Dv dimension of a value.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepmap.errors import ModelError
from keepmap.kv.method import HeldInput

__all__ = ["output_norms", "over_heads", "projection_of"]

_NAMES = ("o_proj", "out_proj", "dense", "c_proj", "wo")
"""What families call the projection of a layer's attention to its output."""
_AT_ONCE = 1024


def projection_of(model: nn.Module, layer: int) -> Float[Tensor, "all_heads hidden"]:
    """The weights that take the outputs of all query heads of one layer, side by side, to the layer's output.

    Raises:
        ModelError: the layer has none that is known.
    """
    for module in model.modules():
        if getattr(module, "layer_idx", None) != layer or "Attention" not in type(module).__name__:
            continue
        for name in _NAMES:
            part = getattr(module, name, None)
            if isinstance(base := getattr(part, "base_layer", None), nn.Linear):
                # An adapter's: its own weights are those of the model without it.
                assert part is not None
                rows = torch.eye(base.in_features, dtype=base.weight.dtype, device=base.weight.device)
                with torch.no_grad():
                    weights: Tensor = part(rows) - part(rows[:1] * 0)
                return weights
            weight = getattr(part, "weight", None)
            if isinstance(weight, Tensor) and weight.ndim == 2 and weight.is_floating_point():
                # GPT-2's projections have their inputs in rows, all others in columns.
                return weight.detach() if type(part).__name__ == "Conv1D" else weight.detach().t()
    raise ModelError(
        f"{type(model).__name__} is not supported by methods that look at the output projection: layer {layer} has "
        f"none of {', '.join(_NAMES)} with weights of numbers"
    )


def output_norms(
    values: Float[Tensor, "G rows Dv"], projection: Float[Tensor, "all_heads hidden"]
) -> Float[Tensor, "G rows"]:
    """||W v||_1 of each value, the mean over the group's query heads, in float32 at least.

    >>> output_norms(torch.ones(1, 3, 2), torch.eye(4))  # two query heads share the values
    tensor([[2., 2., 2.]])
    """
    heads, rows, dim = values.shape
    wide = torch.promote_types(values.dtype, torch.float32)
    by_head = projection.unflatten(0, (heads, -1, dim))
    norms = values.new_zeros(heads, rows, dtype=wide)
    for head, group in enumerate(by_head):
        for first in range(0, rows, _AT_ONCE):
            part = values[head, first : first + _AT_ONCE].to(wide)
            for weights in group:
                norms[head, first : first + _AT_ONCE] += (part @ weights.to(wide)).abs().sum(dim=1)
    return norms / by_head.shape[1]


def over_heads(norms: Float[Tensor, "G K"], held: HeldInput) -> Float[Tensor, "G K"]:
    """Each over the mean of those that the heads which hold its position have there."""
    at, tiny = held.positions.clamp(min=0), torch.finfo(torch.float32).tiny
    totals, holders = norms.new_zeros(2, held.step + 1).unbind()
    totals.index_add_(0, at.flatten(), (norms * held.is_held).flatten())
    holders.index_add_(0, at.flatten(), held.is_held.to(norms.dtype).flatten())
    return norms * holders[at] / totals[at].clamp(min=tiny)
