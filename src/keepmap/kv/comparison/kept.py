"""What a pass over a sample has kept: counted over entries, over tokens, and over time."""

from dataclasses import dataclass

from keepmap.core.densities import KeptCounts, entry_statistics, token_statistics
from keepmap.core.keep_map import KeepMap

__all__ = ["Kept", "counted_kept", "everything_kept"]


@dataclass(frozen=True)
class Kept:
    """What a sample's density is counted from.

    Attributes:
        entries: over (layer, KV head, position). tokens: over positions. Both after the last step.
        footprint: mean cache size over the steps / the same without eviction.
    """

    entries: KeptCounts
    tokens: KeptCounts
    footprint: float


def everything_kept(n_entries: int, n: int) -> Kept:
    """Without eviction all is kept, and all is compressible."""
    return Kept(KeptCounts(n_entries * n, n_entries * n, n_entries * n, n_entries * n), KeptCounts(n, n, n, n), 1.0)


def counted_kept(keep_map: KeepMap) -> Kept:
    """What a method has kept, by its KeepMap."""
    n = keep_map.shape[2]
    return Kept(entry_statistics(keep_map, n), token_statistics(keep_map, n).counts, keep_map.footprint())
