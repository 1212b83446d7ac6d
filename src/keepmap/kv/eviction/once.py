"""Mode "once": a context is read densely and cut after its last query, and nothing is decided about what comes later.

To a method and a rule such a context is a whole text of one chunk.

G KV head · C tokens of the context · N positions.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.choosing import Expiries
from keepmap.kv.passes import LayerCall

__all__ = ["after_the_cut", "part_of"]


def part_of(call: LayerCall, start: int, stop: int) -> LayerCall:
    """A layer's call with the queries, keys and values start..stop-1 alone."""
    rows = slice(start, stop)
    rotary = None if call.rotary is None else (call.rotary[0][rows], call.rotary[1][rows])
    return replace(
        call,
        hidden_states=call.hidden_states[rows],
        queries=call.queries[:, rows],
        keys=call.keys[:, rows],
        values=call.values[:, rows],
        sees_from=call.sees_from[rows],
        rotary=rotary,
    )


def after_the_cut(choice: Expiries, scores: Float[Tensor, "G C"], n: int) -> tuple[Expiries, Float[Tensor, "G N"]]:
    """What was decided about a context, as decisions about a text of n positions: later ones stay, scored 0."""
    later = (0, n - scores.shape[1])
    held = torch.nn.functional.pad(choice.held, later, value=True)
    expires = torch.where(held, n, scores.shape[1])
    return Expiries(expires, held), torch.nn.functional.pad(scores, later)
