"""What a KV method is: frozen data and one pure function. Adding a method is adding one file to `kv/methods/`.

L layer · H query head · G KV head · N positions · D head dimension.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.core.arguments import check_options
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError, did_you_mean

__all__ = [
    "HeldInput",
    "LayerInput",
    "Method",
    "Moments",
    "Received",
    "Reviewed",
    "Rotation",
    "Scored",
    "check_method",
    "method_class",
    "method_names",
    "methods",
    "to_digits",
]

_LEVELS = 2.0**13

NEEDS = ("nothing", "position", "prefix", "held", "window", "received")
"""What a score can look at, from the least to the most."""


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


class Method(ABC):
    """A way to tell which positions can go.

    Class variables, all declared by the final class:
        name: what users type. label: what tables and file names print.
        n_sink, window: the protection unless the user gives another.
        threshold: the default threshold; None where the budget rule is the default.
        density: the default density, where the budget rule is the default.
        budget_by: who shares a budget unless the user says otherwise, as `keepmap.evict` takes it.
        window_option: the option of a comparison that sets this method's window, where it has one of its own.
        needs: what the score looks at: "position" (its own layer input), "prefix", "held" (what the cache holds at the
            step), "window" (the attention of the last queries to that) or "received" (attention so far).
        needs_rotation, needs_surrogate: whether it wants `LayerInput.rotation`; whether it wants a trained scorer.
        is_usual: whether a comparison runs it where no method is named.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    needs: ClassVar[str]
    n_sink: ClassVar[int] = 4
    window: ClassVar[int] = 128
    threshold: ClassVar[float | None] = None
    density: ClassVar[float | None] = None
    budget_by: ClassVar[str] = "head"
    window_option: ClassVar[str | None] = None
    needs_rotation: ClassVar[bool] = False
    needs_surrogate: ClassVar[bool] = False
    is_usual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)


class Scored(Method):
    """A method whose scores are known before the layer's attention runs.

    Class variables:
        by_position: whether a score depends on the layer, the KV head and the position alone, whatever the text: a
            cache then asks for many positions ahead. A subclass with a `score` of its own says so again.

    >>> import keepmap
    >>> class ValueNorm(Scored):
    ...     name, label, needs, density = "value_norm", "ValueNorm", "position", 0.2
    ...     def score(self, layer):
    ...         return layer.values.norm(dim=-1)
    >>> keepmap.evict("tiny", "The code of river is 4821. " * 9, ValueNorm(), window=16).keep_map.shape[:2]
    (2, 4)
    """

    by_position: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "score" in vars(cls) and "by_position" not in vars(cls):
            cls.by_position = False

    @abstractmethod
    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """One score per KV head and position; higher is kept longer."""


class Received(Method):
    """A method that scores a position by the attention it has received so far in the evicting model.

    Class variables:
        averages: what compiled code may take `score` to be: the total (False) or total / queries (True). None, which
            is also what a subclass with a `score` of its own has unless it says otherwise: `score` is called at every
            step.

    >>> import keepmap
    >>> class Total(Received):
    ...     name, label, density = "total", "Total", 0.2
    ...     def score(self, total, queries):
    ...         return total
    >>> keepmap.evict("tiny", "The code of river is 4821. " * 9, Total(), window=16).keep_map.shape[:2]
    (2, 4)
    """

    needs: ClassVar[str] = "received"
    averages: ClassVar[bool | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "score" in vars(cls) and "averages" not in vars(cls):
            cls.averages = None

    @abstractmethod
    def score(self, total: Float[Tensor, "G K"], queries: Int[Tensor, "#G K"]) -> Float[Tensor, "G K"]:
        """Scores from `total`, the summed attention (mean over the group's query heads), and the number of `queries`
        that could see each position."""


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
        keys: [G, K, D], values: [G, K, Dv], as the layer attends with them (rotated).
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


class Reviewed(Method):
    """A method that scores what is held anew at each decision, by that alone and by the last queries.

    Class variables:
        needs_moments: whether it wants `HeldInput.moments`; those of the queries up to `refreshed(step)`.
        needs_norms, needs_capacity: whether it wants `HeldInput.norms`, and `HeldInput.capacity`.

    >>> import keepmap
    >>> class Newest(Reviewed):
    ...     name, label, needs, density = "newest", "Newest", "held", 0.2
    ...     def score(self, held):
    ...         return held.positions.double()
    >>> keepmap.evict("tiny", "The code of river is 4821. " * 9, Newest(), window=16).keep_map.shape[:2]
    (2, 4)
    """

    needs_moments: ClassVar[bool] = False
    needs_norms: ClassVar[bool] = False
    needs_capacity: ClassVar[bool] = False

    @property
    def observes(self) -> int:
        """How many of the last queries it looks at."""
        return 0

    def refreshed(self, step: int) -> int:
        """Up to which query the moments are that it looks at after `step`."""
        return step

    @abstractmethod
    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """One score per KV head and entry that is held; higher is kept longer."""


def to_digits(scores: Float[Tensor, "G N"]) -> Float[Tensor, "G N"]:
    """Scores rounded to 13 binary digits: what is equal but for rounding ties, rather than being put into an order."""
    mantissa, exponent = torch.frexp(scores)
    return torch.ldexp((mantissa * _LEVELS).round() / _LEVELS, exponent)


SurrogateScorer = Callable[[int, Tensor], Tensor]
"""(layer, hidden states [N, hidden]) -> scores [N, G]: what a surrogate has to be."""


def _check(method: type[Method]) -> None:
    if method.needs not in NEEDS:
        raise InputError(f'its score needs "{method.needs}", {did_you_mean(str(method.needs), NEEDS)}')
    if not issubclass(method, Scored | Received | Reviewed):
        raise InputError("a method derives from Scored, from Received or from Reviewed")


_METHODS: Registry[Method] = Registry(
    "method",
    Method,
    "keepmap.kv.methods",
    declares=("label", "needs"),
    supplied=("surrogate",),
    order=lambda method: NEEDS.index(method.needs),
    check=_check,
)


def methods() -> dict[str, type[Method]]:
    """Every method by name, ordered by what its score needs, then by name.

    >>> "h2o" in methods()
    True
    """
    return _METHODS.classes()


def method_names() -> tuple[str, ...]:
    """The names of all methods, in the order of `methods`."""
    return tuple(methods())


def method_class(name: str) -> type[Method]:
    """The method called `name`.

    Raises:
        InputError: there is none; names the closest.
    """
    return _METHODS.named(name)


def check_method(method: Method, parameter: str) -> None:
    """Check that a method, maybe of a user's own class, declares what every one does.

    Raises:
        InputError: it does not.
    """
    _METHODS.check_value(method, parameter)
