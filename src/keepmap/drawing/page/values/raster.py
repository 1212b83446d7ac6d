"""An agent's history as rows of episodes: where each transition stands, and what is known of it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from keepmap.core.files import plain

__all__ = ["by_episode", "raster"]


def by_episode(dones: Sequence[bool] | None, n: int) -> tuple[list[int], list[int]]:
    """The episode and the step of each of n transitions, both from 1, counted from the first that is here.

    A first episode that has fewer steps than the longest one has lost its beginning: it ends where others end.

    >>> by_episode([True, False, False, True, False], 5)
    ([1, 2, 2, 2, 3], [3, 1, 2, 3, 1])
    """
    ends = [at + 1 for at in range(n) if dones is not None and dones[at]]
    edges = [0, *(end for end in ends if end < n), n]
    lengths = [until - start for start, until in pairwise(edges)]
    longest = max(lengths)
    episodes, steps = list[int](), list[int]()
    for number, length in enumerate(lengths, start=1):
        lost = longest - length if number == 1 and len(lengths) > 1 else 0
        episodes += [number] * length
        steps += range(lost + 1, lost + length + 1)
    return episodes, steps


def raster(
    episodes: Sequence[int],
    steps: Sequence[int],
    rewards: Sequence[float | None],
    *,
    states: Sequence[str] = (),
    actions: Sequence[str] = (),
    attention: Sequence[float] = (),
    held: Mapping[str, Sequence[bool]] | None = None,
) -> dict[str, Any]:
    """As the page has it.

    Args:
        attention: to each position, from the query. held: by compressor, which transitions it holds.

    >>> raster([1], [1], [0.5], held={"recency": [True]})["held"]
    {'recency': [1]}
    """
    kept = {name: [int(is_held) for is_held in mask] for name, mask in (held or {}).items()}
    values = {"states": states, "actions": actions, "attention": attention}
    given: dict[str, Any] = plain({name: list(value) for name, value in values.items() if value})
    return {"episodes": list(episodes), "steps": list(steps), "rewards": plain(list(rewards)), "held": kept, **given}
