"""What decides the attention weights of one layer: the one form in which every kind of model hands them over.

H query head · G KV head · N positions · D head dimension.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["AttentionLayer", "Values", "causal"]

Values = Float[Tensor, "G N Dv"]


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionLayer:
    """One layer's queries and keys for one sequence, and what each query may see of it.

    The weights are softmax(softcap(scaling * q k) + bias) over the visible positions; query i sees position j iff
    sees_from[i] <= j < sees_until[i], i < expires[g, j], and bias[.., i, j] > -inf.

    Attributes:
        layer: the layer's index in the model.
        queries: [H, N, D], keys: [G, N, D]; head h reads KV head h // (H // G).
        scaling: the factor on query-key products.
        sees_from, sees_until: int64 [N], the first position that a query sees and the one after the last.
        expires: int64 [G, N], the first query that no longer sees a position (a KeepMap's), None without eviction.
        bias: [1 or H, N, N], added to the logits (masks that are no interval; only where the model itself was given
            one), or None.
        softcap: logits are capped to softcap * tanh(logit / softcap), None for no cap.
        sinks: [H], learned logits that take their share of the softmax and give no value (gpt-oss), or None.
    """

    layer: int
    queries: Float[Tensor, "H N D"]
    keys: Float[Tensor, "G N D"]
    scaling: float
    sees_from: Int[Tensor, " N"]
    sees_until: Int[Tensor, " N"]
    expires: Int[Tensor, "G N"] | None = None
    bias: Float[Tensor, "#H N N"] | None = None
    softcap: float | None = None
    sinks: Float[Tensor, " H"] | None = None

    @property
    def n_heads(self) -> int:
        """H, the number of query heads."""
        return self.queries.shape[0]

    @property
    def n_kv_heads(self) -> int:
        """G, the number of KV heads."""
        return self.keys.shape[0]

    @property
    def group(self) -> int:
        """Query heads per KV head."""
        return self.queries.shape[0] // self.keys.shape[0]

    @property
    def n(self) -> int:
        """N, the number of positions."""
        return self.keys.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """What its statistics are computed and given in: float64 for a float64 model, else float32."""
        return torch.promote_types(self.queries.dtype, torch.float32)

    @property
    def has_holes(self) -> bool:
        """Whether what a query sees may be something else than one interval."""
        return self.expires is not None or self.bias is not None

    @cached_property
    def ends_at_the_query(self) -> bool:
        """Whether each query sees one interval, which ends at the query itself."""
        return not self.has_holes and bool((self.intervals[1] == torch.arange(1, self.n + 1)).all())

    @cached_property
    def intervals(self) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
        """`sees_from` and `sees_until` on the CPU, for planning."""
        return self.sees_from.cpu(), self.sees_until.cpu()

    def visible(self, kv_head: int, rows: Int[Tensor, " B"], columns: Int[Tensor, " K"]) -> Bool[Tensor, "heads B K"]:
        """Which of the positions `columns` the queries `rows` see; heads is 1 or, where they differ, the group's.

        Columns beyond the last position are seen by nobody.
        """
        seen = (columns >= self.sees_from[rows, None]) & (columns < self.sees_until[rows, None])
        inside = columns.clamp(max=self.n - 1)
        if self.expires is not None:
            seen = seen & (rows[:, None] < self.expires[kv_head, inside])
        if self.bias is None:
            return seen[None]
        return seen & (self.block_of_bias(kv_head, rows, inside) > float("-inf"))

    def block_of_bias(
        self, kv_head: int, rows: Int[Tensor, " B"], columns: Int[Tensor, " K"]
    ) -> Float[Tensor, "heads B K"]:
        """The bias of a block, for one head or for all of the group."""
        assert self.bias is not None
        own = self.bias if self.bias.shape[0] == 1 else self.bias[kv_head * self.group : (kv_head + 1) * self.group]
        return own[:, rows[:, None], columns]

    def with_heads(self, heads: Int[Tensor, " K"]) -> "AttentionLayer":
        """The same layer with these query heads only, each with a KV head of its own."""
        own = heads // self.group
        return replace(
            self,
            queries=self.queries[heads],
            keys=self.keys[own],
            expires=None if self.expires is None else self.expires[own],
            bias=self.bias if self.bias is None or self.bias.shape[0] == 1 else self.bias[heads],
            sinks=None if self.sinks is None else self.sinks[heads],
        )


def causal(n: int, device: torch.device | str = "cpu") -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
    """`sees_from` and `sees_until` of causal attention: everything up to the query itself."""
    until = torch.arange(1, n + 1, device=device)
    return torch.zeros_like(until), until
