"""What insight needs to know of a wing: which attention decides, what may be dropped, and what keeps the rest."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from keepmap.attention import AttentionProfile
from keepmap.errors import InputError
from keepmap.insight.coverage import Coverage, Shares
from keepmap.insight.suggestion import Suggestion

__all__ = ["Subject", "needed", "row_of"]


class Subject(ABC):
    """A wing, as insight sees it.

    Class variables:
        host: what is tested. samples, groups: what its contexts are called, and what groups those that depend on each
            other.
        costs: what a deletion is measured by; the first one decides.
    """

    host: ClassVar[str]
    samples: ClassVar[str]
    groups: ClassVar[str]
    costs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def shares(self, profile: AttentionProfile, layer: int, heads: Sequence[int], query: int | None = None) -> Shares:
        """What decides in a layer: how the attention is shared out over the positions to choose from, mean over heads.

        Args:
            layer, heads: places in the profile.
            query: the one that decides; by default, what the wing goes by.

        Raises:
            InputError: the profile has no such row, or there is nothing to choose from.
        """

    @abstractmethod
    def suggestion(self, pattern: str, keep: int, of: int) -> Suggestion:
        """What keeps `keep` of `of` positions, at least 1, by the pattern."""

    @abstractmethod
    def overall(
        self, profiles: Sequence[AttentionProfile], by_head: Sequence[Coverage], pattern: str, share: float
    ) -> Suggestion:
        """What keeps `share` of the attention by the pattern, for all layers and heads together.

        Args:
            by_head: the coverage of every head of every profile.
        """

    @abstractmethod
    def positions(self, profiles: Sequence[AttentionProfile]) -> int | None:
        """How many positions the guide's rule chooses from, at most; None where its length is never cut."""


def row_of(profile: AttentionProfile, layer: int, heads: Sequence[int], query: int) -> Float[Tensor, " N"]:
    """The attention of one query, a mean over heads.

    Raises:
        InputError: the profile does not have its row.
    """
    places = (profile.queries == query).nonzero()
    if not len(places):
        raise InputError(
            f"expected `query` to have its row in the profile, got query {query} without; profile it with "
            f"queries=[{query}]"
        )
    return profile.rows[layer, list(heads), int(places[0])].double().mean(0)


def needed(coverage: Coverage, pattern: str) -> int:
    """How many positions the pattern's rule needs for the coverage's share of the attention."""
    by_pattern = {"recency": coverage.recent, "sinks": coverage.recent, "uniform": coverage.even}
    return by_pattern.get(pattern, coverage.top)
