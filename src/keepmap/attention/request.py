"""Which layers, heads and query rows a profile is of: from what a caller writes to indices."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.core.arguments import shown
from keepmap.errors import InputError, did_you_mean

__all__ = ["Indices", "Queries", "Rows", "indices", "require_some_context", "rows"]

Indices = int | Iterable[int] | None
"""One index, several, or all (None)."""

Queries = str | int | Iterable[object] | Tensor
""""all", "last", a number of sampled rows, or positions."""


@dataclass(frozen=True)
class Rows:
    """Query rows of a context.

    Attributes:
        measured: ascending, the queries that the statistics are over. kept: those of them whose rows are stored.
        scope: which ones these are, as a phrase.
    """

    measured: Int[Tensor, " M"]
    kept: Int[Tensor, " Q"]
    scope: str


def indices(what: str, chosen: Indices, count: int) -> tuple[int, ...]:
    """The chosen layers or heads (`what`) of `count`, ascending, each once.

    Raises:
        InputError: none, not an integer, or out of range.
    """
    if chosen is None:
        return tuple(range(count))
    listed = list(chosen) if isinstance(chosen, Iterable) else [chosen]
    for index in listed:
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < count:
            raise InputError(f"expected `{what}s` to be in 0..{count - 1}, which the model has, got {shown(index)}")
    if not listed:
        raise InputError(f"expected `{what}s` to name one or more, got none; leave `{what}s` out for all {count}")
    return tuple(sorted({int(index) for index in listed}))


def rows(queries: Queries, n: int, seed: int) -> Rows:
    """The rows that `queries` chooses in a context of n positions.

    Raises:
        InputError: an unknown word, a position out of range, or fewer than one row or more than n.
    """
    if isinstance(queries, str):
        if queries not in ("all", "last"):
            raise InputError(f'unknown `queries` "{queries}", {did_you_mean(queries, ["all", "last"])}')
        last = torch.tensor([n - 1])
        return (
            Rows(torch.arange(n), last, f"all {n} queries") if queries == "all" else Rows(last, last, "the last query")
        )
    if isinstance(queries, int | np.integer) and not isinstance(queries, bool):
        if not 1 <= queries <= n:
            raise InputError(
                f'expected `queries` to be 1..{n} rows to sample, got {queries}; "all" measures all of them, and a '
                "list is of positions"
            )
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(n, generator=generator)[: int(queries)].sort().values
        return Rows(drawn, drawn, f"{queries} of {n} queries, sampled with seed {seed}")
    try:
        chosen = torch.as_tensor(queries if isinstance(queries, Tensor) else list(queries)).flatten().cpu()  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        chosen = torch.empty(0)
    if not len(chosen) or chosen.is_floating_point() or chosen.dtype == torch.bool:
        raise InputError(f'expected `queries` to be "all", "last", a number of rows or positions, got {shown(queries)}')
    chosen = chosen.long().unique()
    if int(chosen[0]) < 0 or int(chosen[-1]) >= n:
        raise InputError(f"expected `queries` to be in 0..{n - 1}, got {chosen.tolist()!r:.60}")
    return Rows(chosen, chosen, f"{len(chosen)} chosen of {n} queries")


def require_some_context(n: int) -> None:
    """Refuse a context in which there is nothing to choose between.

    Raises:
        InputError: fewer than two positions.
    """
    if n < 2:
        raise InputError(f"expected a context of two positions or more, got {n}")
