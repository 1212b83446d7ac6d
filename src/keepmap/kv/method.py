"""What a KV method is: frozen data and one pure function. Adding a method is adding one file to `kv/methods/`.

L layer · H query head · G KV head · N positions · D head dimension.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.core.arguments import check_options
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError, did_you_mean
from keepmap.kv.given import HeldInput, LayerInput, Moments, Rotation

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

NEEDS = ("nothing", "position", "prefix", "held", "window", "received", "future")
"""What a score can look at, from the least to the most."""


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
            step), "window" (the attention of the last queries to that), "received" (attention so far) or "future" (what
            comes after the decision: an oracle, which no cache can have).
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
        needs_repetition: whether it wants `LayerInput.repeated`.

    >>> import keepmap
    >>> class ValueNorm(Scored):
    ...     name, label, needs, density = "value_norm", "ValueNorm", "position", 0.2
    ...     def score(self, layer):
    ...         return layer.values.norm(dim=-1)
    >>> keepmap.evict("tiny", "The code of river is 4821. " * 9, ValueNorm(), window=16).keep_map.shape[:2]
    (2, 4)
    """

    by_position: ClassVar[bool] = False
    needs_repetition: ClassVar[bool] = False

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


class Reviewed(Method):
    """A method that scores what is held anew at each decision, by that alone and by the last queries.

    Class variables:
        needs_moments: whether it wants `HeldInput.moments`; those of the queries up to `refreshed(step)`.
        needs_norms, needs_capacity: whether it wants `HeldInput.norms`, and `HeldInput.capacity`.
        needs_values: whether it looks at `HeldInput.values`; where it does not, these are 0, and nothing is copied.
        needs_hidden: whether a score looks at entries that none of the queries sees, as a layer's own sliding window
            hides them. Where it does not, a cache frees their keys and values, which then are 0 in `HeldInput`. A
            subclass with a `score` of its own says both again.

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
    needs_values: ClassVar[bool] = True
    needs_hidden: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("needs_values", "needs_hidden"):
            if "score" in vars(cls) and name not in vars(cls):
                setattr(cls, name, True)

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
