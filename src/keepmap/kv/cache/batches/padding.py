"""Where the texts of a batch begin: what the mask and the positions of a call say, and whether that can be held."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from keepmap.errors import InputError

__all__ = ["paddings_of"]


def paddings_of(named: dict[str, Any], new: Tensor, seen: int, before: Sequence[int]) -> list[int]:
    """How many positions of padding each text has at its left, up to the end of a call.

    Args:
        named: the arguments of the call by name. Where there is padding and they have no `position_ids`, they get those
            that each text would have alone.
        new: [B, n] or [B, n, hidden], what comes. seen: how many positions came before.
        before: [B], how many of those were padding.

    Raises:
        InputError: a mask that hides something else, or positions that do not go on.
    """
    paddings = _of_mask(named.get("attention_mask"), new.shape[1], seen, before)
    expected = torch.arange(seen, seen + new.shape[1]) - torch.tensor(paddings)[:, None]
    positions = named.get("position_ids")
    if positions is None:
        if any(paddings):
            named["position_ids"] = expected.clamp(min=0).to(new.device)
    elif positions.shape[-1] != new.shape[1] or bool(((positions.cpu() != expected) & (expected >= 0)).any()):
        if seen and seen in paddings:
            raise InputError(
                f"expected `attention_mask` to show some of each text, got one that hides all of the {seen} positions "
                "so far; give a mask that is 1 at the text's own tokens"
            )
        raise InputError(
            f"expected `position_ids` to go on from {seen}, the tokens that the cache has seen, less a text's padding, "
            "got others; leave them out"
        )
    return paddings


def _of_mask(mask: object, new: int, seen: int, before: Sequence[int]) -> list[int]:
    if mask is None:
        return list(before)
    if isinstance(mask, Tensor) and mask.dim() == 2:
        if mask.shape[1] not in (seen + new, new):
            raise InputError(
                f"expected `attention_mask` to have {seen + new} columns, {seen} that the cache has seen and {new} new "
                f"ones, got {mask.shape[1]}; leave it out where there is no padding"
            )
        shown = mask.bool().cpu()
        if bool(shown.all()) and not any(before):
            return list(before)
        if shown.shape == (len(before), seen + new):
            hidden = (~shown).sum(dim=1)
            is_left = bool((shown == (torch.arange(seen + new) >= hidden[:, None])).all())
            paddings: list[int] = hidden.tolist()
            # What was seen stays as it was, but for a text of which nothing had come.
            if is_left and all(now == old or old == seen <= now for now, old in zip(paddings, before, strict=True)):
                return paddings
    raise InputError(
        "expected `attention_mask` to hide nothing but padding at the left, the same at each call, got one that hides "
        "other positions; pad at the left, and give a mask of ones where the text has the padding's id in it"
    )
