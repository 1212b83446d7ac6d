"""What to keep, and how: a pattern, a number of positions, and what keeps them, as values and as a line to paste."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from keepmap.core.html import card
from keepmap.core.outside.reporting import Reported, framed

__all__ = ["Suggestion"]


@dataclass(frozen=True, kw_only=True)
class Suggestion(Reported, ABC):
    """What to keep, and how. Each wing's own class holds what does it.

    Attributes:
        pattern: "recency", "uniform", "sparse", "sinks" or "mixed".
        keep, of: how many positions, of how many. A language model's sinks are not counted; they always stay.

    >>> import keepmap
    >>> suggestion = keepmap.suggest(keepmap.profile_attention("tiny", "The code of river is 4821. " * 9))
    >>> 0 < suggestion.keep <= suggestion.of, suggestion.name in keepmap.methods()
    (True, True)
    """

    pattern: str
    keep: int
    of: int

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the compressor, or of the KV method."""

    @property
    @abstractmethod
    def options(self) -> Mapping[str, int | float]:
        """The options of the compressor or method, by name."""

    @property
    @abstractmethod
    def line(self) -> str:
        """The line of code that makes or calls it."""

    @property
    def code(self) -> tuple[str, ...]:
        """The line as lines of at most 80 columns, to paste as they stand."""
        return tuple(self.line.replace("; ", "\n").replace('", density=', '",\n    density=').splitlines())

    def document(self) -> dict[str, object]:
        """The suggestion as JSON values, by name."""
        names = ("pattern", "keep", "of", "name", "options", "line")
        return {name: getattr(self, name) for name in names}

    def _repr_html_(self) -> str:
        facts = self.document()
        return framed(self, card(repr(self), tuple(facts), [tuple(str(value) for value in facts.values())]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pattern}: keep {self.keep} of {self.of} positions)\n  {self.line}"
