"""Checked at every run: what the last query saw is what the map says."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.forward import LayerCall
from keepmap.errors import ImpossibleResultError
from keepmap.kv.eviction.attention import probabilities, visible

__all__ = ["last_query_felt"]


def last_query_felt(call: LayerCall, expires: Int[Tensor, "G N"], output: Float[Tensor, "H N Dv"]) -> bool:
    """Attend with the last query anew, in the obvious way; whether what it does not see would have made a difference.

    Raises:
        ImpossibleResultError: `output` is not the attention over what `expires` says the query sees.
    """
    heads, n = expires.shape
    wide = torch.promote_types(call.keys.dtype, torch.float32)
    queries = call.queries[:, -1].to(wide).view(heads, -1, call.queries.shape[2])
    logits = call.scaling * queries @ call.keys.to(wide).transpose(1, 2)
    if call.softcap is not None:
        logits = call.softcap * torch.tanh(logits / call.softcap)
    position = torch.arange(n, device=expires.device).expand(heads, 1, n)
    last = position[0, :, -1:]
    sinks = None if call.sinks is None else call.sinks.to(wide).view(heads, -1, 1, 1)
    values = call.values.to(wide)

    def attend(until: Tensor) -> Tensor:
        seen = visible(position, until[:, None], last, call.sees_from[-1:, None])
        weights = probabilities(logits.masked_fill(~seen, float("-inf"))[:, :, None], sinks)
        return weights[:, :, 0] @ values

    mine, full = attend(expires), attend(torch.full_like(expires, n))
    given = output[:, -1].to(wide).view_as(mine)
    # Rounding of a product moves a weight by that much of itself, and sums are rounded once more.
    digits = torch.finfo(call.keys.dtype).eps
    allowed = digits * (64 + 4 * float(logits.abs().max())) * max(float(values.abs().max()), torch.finfo(wide).tiny)
    if not bool(((given - mine).abs() <= allowed).all()):
        raise ImpossibleResultError(
            f"layer {call.layer}: the last query's attention is not that over what the map says it sees; "
            "please report this, with the model and the method"
        )
    return bool(((full - mine).abs() > allowed).any())
