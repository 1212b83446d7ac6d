"""What transformers asks for a mask, answered by where each query's sight begins.

N queries.
"""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.errors import ModelError

__all__ = ["sees_from"]


def sees_from(
    batch_size: int,
    q_length: int | None = None,
    kv_length: int = 0,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Tensor | bool] | None = None,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    cache_position: Tensor | None = None,
    **ignored: object,
) -> Int[Tensor, "1 1 N 1"]:
    """In place of a mask of all queries times all keys: the first position that each query sees, found by bisection.

    Raises:
        ModelError: a mask that hides positions, is not causal, or not an interval that ends at the query.
    """
    if cache_position is not None:
        # transformers before 5.4 gives the queries' positions instead of their number and offset.
        q_length, q_offset = cache_position.shape[0], int(cache_position[0])
        device = cache_position.device
    assert q_length is not None
    if attention_mask is not None and not bool(attention_mask.all()):
        hidden = int((attention_mask == 0).sum())
        raise ModelError(f"the attention mask hides {hidden} positions, which is not supported; give no padding")
    query = torch.arange(q_length, device=device) + q_offset

    def visible(position: Tensor) -> Tensor:
        assert mask_function is not None
        zero = torch.zeros((), dtype=torch.int64, device=device)
        return torch.as_tensor(mask_function(zero, zero, query, position)).expand(q_length) & (position >= 0)

    low, high = torch.zeros_like(query), query.clone()
    if bool(visible(low).all()):
        high = low  # causal, and nothing else: there is nothing to look for
    while bool((low < high).any()):
        middle = (low + high) // 2
        seen = visible(middle)
        low, high = torch.where(seen, low, middle + 1).clamp(max=query), torch.where(seen, middle, high)
        low = torch.minimum(low, high)
    middle = (low + query) // 2
    one_interval = visible(low) & visible(query) & visible(middle) & ~visible(low - 1) & ~visible(query + 1)
    if q_length + q_offset != kv_length or kv_offset or not bool(one_interval.all()):
        raise ModelError("this model is not supported: what a query may see is not an interval that ends at the query")
    return low[None, None, :, None]
