"""Mode "once": a context is read densely and cut after its last query, and nothing is decided about what comes later.

To a method and a rule such a context is a whole text of one chunk.

G KV head · C tokens of the context · N positions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.kv.budgets import Budget
from keepmap.kv.choosing import Expiries, LayerRule, Protection, Threshold
from keepmap.kv.eviction.checks import full_attention
from keepmap.kv.passes import LayerCall
from keepmap.kv.sharing import dropped_by_model

__all__ = ["KEEPS_ALL", "CutOfModel", "after_the_cut", "cut_of_model", "part_of"]

KEEPS_ALL = Threshold(float("-inf"))
"""The rule under which a context is read that all layers cut together, later."""


@dataclass(frozen=True, eq=False)
class CutOfModel:
    """What all layers together keep of a context.

    Attributes:
        held: bool [L, G, C]. scores: [L, G, C].
    """

    held: Bool[Tensor, "L G C"]
    scores: Float[Tensor, "L G C"]

    def of_layer(self, layer: int, device: torch.device) -> Expiries:
        """What one layer keeps."""
        held = self.held[layer].to(device)
        return Expiries(torch.full(held.shape, held.shape[1], device=device), held)


def cut_of_model(
    read: Callable[[Callable[[LayerCall], Tensor]], object],
    decided: Callable[[LayerCall, LayerRule], tuple[Expiries, Tensor, Tensor | None]],
    rule: Budget,
    protection: Protection,
) -> CutOfModel:
    """One more pass over a context, which keeps all of it: no layer can be cut before the last one has scores.

    Args:
        read: makes the pass, with what attends in each layer.
        decided: what a layer decides under a rule, the scores, and its attention where that falls off.
    """
    scores: dict[int, Tensor] = {}

    def attend(call: LayerCall) -> Tensor:
        _, scored, output = decided(call, KEEPS_ALL)
        scores[call.layer] = scored.cpu()
        return full_attention(call) if output is None else output

    read(attend)
    of_all = torch.stack([scores[layer] for layer in sorted(scores)])
    dropped = dropped_by_model(of_all.double().numpy(), rule, protection.n_sink, protection.window)
    return CutOfModel(torch.from_numpy(~dropped), of_all)


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
