"""Shorten a history to what a compressor has chosen."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from keepmap.agents.history import History, Selection, nothing

__all__ = ["narrowed", "shorten"]


def shorten(history: History, selection: Selection) -> History:
    """The kept transitions alone, in order, with the times that they had: their age does not change.

    Where a row keeps fewer than m, `valid` is False and every field holds -1 (the largest value of a type without a
    sign): neither a state, an action, a time nor an attention, and no NaN that a masked product would spread. The kept
    attention is not renormalised.

    Returns:
        A history of m transitions; all kept ones come first.
    """
    rows = torch.arange(len(selection.indices), device=selection.indices.device)[:, None]

    def gathered(values: Shaped[Tensor, "B n *rest"]) -> Shaped[Tensor, "B m *rest"]:
        kept = values[rows, selection.indices]
        gone = ~selection.mask.reshape(*selection.mask.shape, *[1] * (values.dim() - 2))
        return kept.masked_fill(gone, nothing(values.dtype))

    return History(
        gathered(history.states),
        gathered(history.actions),
        gathered(history.rewards),
        gathered(history.next_states),
        gathered(history.times),
        selection.mask,
        None if history.attention is None else gathered(history.attention),
        None if history.dones is None else history.dones[rows, selection.indices] & selection.mask,
    )


def narrowed(selection: Selection) -> Selection:
    """The same choice without the places that no row uses: as wide as the row that keeps most.

    A compressor whose rows keep different numbers reserves its `max_length` for each; a pass would compute them all.
    """
    most = int(selection.mask.sum(1).max())
    return Selection(selection.indices[:, :most], selection.mask[:, :most])
