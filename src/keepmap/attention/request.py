"""What was asked of a profile, made definite: layers, heads and query rows."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.errors import InputError, did_you_mean

__all__ = ["Indices", "Queries", "Rows", "indices", "require_some_context", "rows"]

Indices = int | Iterable[int] | None
"""One index, several, or all (None)."""

Queries = str | int | Iterable[object] | Tensor
""""all", "last", a number of sampled rows, or positions."""


@dataclass(frozen=True)
class Rows:
    """The queries that are measured, those whose rows are kept, and how to say so."""

    measured: Int[Tensor, " M"]
    kept: Int[Tensor, " Q"]
    said: str


def indices(what: str, asked: Indices, count: int) -> tuple[int, ...]:
    """Ascending, each once.

    Raises:
        InputError: none, not an integer, or out of range.
    """
    if asked is None:
        return tuple(range(count))
    wanted = [asked] if isinstance(asked, int) else list(asked)
    for index in wanted:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
            raise InputError(f"{what} {index!r} was asked for, the model has {what}s 0..{count - 1}; use one of those")
    if not wanted:
        raise InputError(f"no {what}s were asked for; leave {what}s out for all {count}")
    return tuple(sorted(set(wanted)))


def rows(asked: Queries, n: int, seed: int) -> Rows:
    """The rows of a context of n positions.

    Raises:
        InputError: an unknown word, a position out of range, or fewer than one row or more than n.
    """
    if isinstance(asked, str):
        if asked not in ("all", "last"):
            raise InputError(f'queries "{asked}" were asked for, {did_you_mean(asked, ["all", "last"])}')
        last = torch.tensor([n - 1])
        return Rows(torch.arange(n), last, f"all {n} queries") if asked == "all" else Rows(last, last, "the last query")
    if isinstance(asked, int) and not isinstance(asked, bool):
        if not 1 <= asked <= n:
            raise InputError(
                f'{asked} sampled queries were asked for, the context has {n}; ask for 1..{n}, "all", or a position '
                "in brackets"
            )
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(n, generator=generator)[:asked].sort().values
        return Rows(drawn, drawn, f"{asked} of {n} queries, sampled with seed {seed}")
    try:
        chosen = torch.as_tensor(asked if isinstance(asked, Tensor) else list(asked)).flatten().cpu()  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        chosen = torch.empty(0)
    if not len(chosen) or chosen.is_floating_point() or chosen.dtype == torch.bool:
        raise InputError(f'queries must be "all", "last", a number of rows or positions, got {asked!r:.80}')
    chosen = chosen.long().unique()
    if int(chosen[0]) < 0 or int(chosen[-1]) >= n:
        raise InputError(f"queries {chosen.tolist()!r:.60} were asked for, the context has 0..{n - 1}; use those")
    return Rows(chosen, chosen, f"{len(chosen)} chosen of {n} queries")


def require_some_context(n: int) -> None:
    """Refuse a context in which there is nothing to choose between.

    Raises:
        InputError: fewer than two positions.
    """
    if n < 2:
        raise InputError(f"a context of {n} position{'s' * (n != 1)} was given; a profile needs two or more")
