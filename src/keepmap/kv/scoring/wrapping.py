"""Methods that take the score of another one further: what they have in common."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from keepmap.core.arguments import shown
from keepmap.errors import InputError
from keepmap.kv.method import Method, Reviewed, method_class, methods

__all__ = ["Wrapped"]


@dataclass(frozen=True)
class Wrapped(Reviewed):
    """A method that takes the score of another one further; protection and needs are those of the other one.

    Attributes:
        base: the name of the other one, which scores what is held anew.
    """

    base: str = "snapkv"

    needs: ClassVar[str] = "window"
    n_sink: ClassVar[int] = 0
    window: ClassVar[int] = 32
    density: ClassVar[float | None] = 0.2
    is_usual: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Look up the other one.

        Raises:
            InputError: it does not score what is held anew, or is none.
        """
        super().__post_init__()
        known = [name for name, method in methods().items() if issubclass(method, Reviewed) and _is_base(method)]
        if self.base not in known:
            raise InputError(
                f"expected `base` to be a method that scores what is held anew, one of {', '.join(known)}, got "
                f"{shown(self.base)}"
            )
        for name in ("needs", "n_sink", "window"):
            object.__setattr__(self, name, getattr(self.scorer, name))
        for name in ("needs_rotation", "needs_moments", "needs_norms", "needs_capacity", "needs_values"):
            object.__setattr__(self, name, getattr(self.scorer, name) or getattr(self, name))
        if self.base != Wrapped.base:
            object.__setattr__(self, "label", f"{self.label}({self.scorer.label})")

    @cached_property
    def scorer(self) -> Reviewed:
        """The other one."""
        scorer = method_class(self.base)()
        assert isinstance(scorer, Reviewed)  # looked up above
        return scorer

    @property
    def observes(self) -> int:
        """As many queries as the other one."""
        return self.scorer.observes

    def refreshed(self, step: int) -> int:
        """As of the other one."""
        return self.scorer.refreshed(step)


def _is_base(method: type[Method]) -> bool:
    return not issubclass(method, Wrapped) and not method.needs_surrogate
