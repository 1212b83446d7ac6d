"""What a score may look at: of a whole layer before its attention runs, or of what a cache holds at a decision.

H query head · G KV head · N positions · D head dimension · K entries that the fullest head holds · W last queries.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["HeldInput", "LayerInput", "Moments", "Rotation"]


@dataclass(frozen=True)
class Rotation:
    """A layer's rotary embedding: position p turns the pair f of a query or key by the angle p * frequency[f].

    The first 2F of the D dimensions are rotated; `interleaved` pairs (0, 1), (2, 3), ..., otherwise (0, F), (1, F+1).
    """

    frequency: Float[Tensor, " F"]
    scale: float
    interleaved: bool


@dataclass(frozen=True, kw_only=True)
class LayerInput:
    """What a score may look at in one layer, before its attention runs.

    Attributes:
        layer: the layer's index.
        hidden_states: [N, hidden], the input of the layer's attention (after its norm).
        queries: [H, N, D], keys: [G, N, D], values: [G, N, Dv], as the layer attends with them (rotated).
        rotation: the layer's rotary embedding, None where it has none; only set for methods with `needs_rotation`.
        decided_at: [N], the first query after each position's decision; scores may look at what came before it.
        scaling: the factor on query-key products.
        n_sink: how many first positions are protected.
        seed: for methods that draw.
        first: the position of the first of the N, which is not 0 where a cache is given a text in parts: a method whose
            score depends on the position itself counts from here.
        repeated: [G, N], the most that any token gives to each position where the text is read a second time, for
            methods with `needs_repetition`.

    >>> layer = LayerInput(
    ...     layer=0,
    ...     hidden_states=torch.zeros(3, 8),
    ...     queries=torch.zeros(2, 3, 4),
    ...     keys=torch.ones(1, 3, 4),
    ...     values=torch.ones(1, 3, 4),
    ...     rotation=None,
    ...     decided_at=torch.tensor([1, 2, 3]),
    ...     scaling=0.5,
    ...     n_sink=0,
    ...     seed=0,
    ... )
    >>> layer.values.norm(dim=-1)  # a score per KV head and position
    tensor([[2., 2., 2.]])
    """

    layer: int
    hidden_states: Float[Tensor, "N hidden"]
    queries: Float[Tensor, "H N D"]
    keys: Float[Tensor, "G N D"]
    values: Float[Tensor, "G N Dv"]
    rotation: Rotation | None
    decided_at: Int[Tensor, " N"]
    scaling: float
    n_sink: int
    seed: int
    first: int = 0
    repeated: Float[Tensor, "G N"] | None = None


@dataclass(frozen=True)
class Moments:
    """Of the queries so far, before their rotation: mean [H, D] and covariance [H, D, D], in float64."""

    mean: Float[Tensor, "H D"]
    covariance: Float[Tensor, "H D D"]


@dataclass(frozen=True, kw_only=True)
class HeldInput:
    """What a score may look at in one layer when a decision falls: what the cache holds, and the last queries.

    Attributes:
        layer: the layer's index.
        step: the last query that was processed.
        positions: [G, K], of what each KV head holds, in order; -1 where a head holds fewer than the fullest one. What
            is scored there does not count; its keys and values are 0, and it receives no attention.
        keys: [G, K, D], values: [G, K, Dv], as the layer attends with them (rotated). 0 where a method does not look:
            all values without `needs_values`, without `needs_hidden` what none of the queries sees.
        queries: [H, W, D], the last ones, as many as the method observes (fewer at the start of a text).
        sees_from: [W], the first position that the model's own rules let each of them see.
        scaling, softcap, sinks: the factor on query-key products, their cap, and learned sinks [H]; the last two None
            in most models.
        rotation: the layer's rotary embedding, None where it has none; only set for methods with `needs_rotation`.
        n_sink: how many first positions are protected.
        seed: for methods that draw.
        moments: of all queries so far, for methods with `needs_moments`.
        window: how many last positions are protected.
        capacity: [G], how many `compressible` entries each head may hold after the decision, for methods with
            `needs_capacity`; None under a threshold, and where all layers share a budget.
        norms: [G, K], ||W_o v||_1, the mean over the group's query heads, for methods with `needs_norms`.
        ahead: [G, K], the attention that all later queries pay if nothing is dropped in this layer, summed, the mean
            over the group's query heads; for methods that need the "future".

    >>> held = HeldInput(
    ...     layer=0,
    ...     step=2,
    ...     positions=torch.tensor([[0, 2]]),  # position 1 has gone
    ...     keys=torch.zeros(1, 2, 4),
    ...     values=torch.ones(1, 2, 4),
    ...     queries=torch.ones(2, 2, 4),  # those of positions 1 and 2
    ...     sees_from=torch.tensor([0, 0]),
    ...     scaling=0.5,
    ... )
    >>> held.attention[0]  # of the first query head
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """

    layer: int
    step: int
    positions: Int[Tensor, "G K"]
    keys: Float[Tensor, "G K D"]
    values: Float[Tensor, "G K Dv"]
    queries: Float[Tensor, "H W D"]
    sees_from: Int[Tensor, " W"]
    scaling: float
    softcap: float | None = None
    sinks: Float[Tensor, " H"] | None = None
    rotation: Rotation | None = None
    n_sink: int = 0
    seed: int = 0
    moments: Moments | None = None
    window: int = 0
    capacity: Int[Tensor, " G"] | None = None
    norms: Float[Tensor, "G K"] | None = None
    ahead: Float[Tensor, "G K"] | None = None

    @property
    def is_held(self) -> Bool[Tensor, "G K"]:
        """False where a head holds fewer than the fullest one."""
        return self.positions >= 0

    @property
    def is_observer(self) -> Bool[Tensor, "G K"]:
        """Positions of the queries."""
        return self.positions > self.step - self.queries.shape[1]

    @property
    def compressible(self) -> Bool[Tensor, "G K"]:
        """What can be dropped: neither a sink nor in the window."""
        return (self.positions >= self.n_sink) & (self.positions <= self.step - self.window)

    @property
    def observers(self) -> Int[Tensor, " W"]:
        """The positions of the queries."""
        last = self.queries.shape[1] - 1
        return torch.arange(self.step - last, self.step + 1, device=self.positions.device)

    @cached_property
    def attention(self) -> Float[Tensor, "H W K"]:
        """What each query gives to what is held now, in float32 at least; a softmax over that alone.

        Entries that have gone since the query was processed have no part in it. A query that sees nothing of what is
        held gives nothing.
        """
        heads, width = self.positions.shape
        wide = torch.promote_types(self.keys.dtype, torch.float32)
        observers, group = self.observers, self.queries.shape[0] // heads
        rows = (self.queries.to(wide) * self.scaling).reshape(heads, -1, self.queries.shape[2])
        logits = torch.bmm(rows, self.keys.to(wide).transpose(1, 2))
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        at = self.positions[:, None]
        seen = self.is_held[:, None] & (at <= observers[:, None]) & (at >= self.sees_from[:, None])
        logits = logits.view(heads, group, -1, width).masked_fill(~seen[:, None], float("-inf"))
        most = logits.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(wide).min)
        sinks = None if self.sinks is None else self.sinks.to(wide).view(heads, group, 1, 1)
        if sinks is not None:
            most = torch.maximum(most, sinks)
        weights = (logits - most).exp()
        total = weights.sum(dim=-1, keepdim=True)
        if sinks is not None:
            total = total + (sinks - most).exp()
        return (weights / total.clamp(min=torch.finfo(wide).tiny)).view(heads * group, -1, width)
