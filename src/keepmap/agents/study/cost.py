"""What an action costs: multiplications and additions, and the keys and values that are held, by formula.

Counted are the matrix products of the transformer, as they are computed: masked entries too. Embeddings, norms,
rotations and the choice of what is kept are not; they are below 2 % of it in the shapes used here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keepmap.agents.compressor import Compressor
from keepmap.agents.study.tally import Tally
from keepmap.agents.transformer import DecisionShape

__all__ = ["Cost", "cached_cost", "held_bytes", "pass_flops", "shortened_cost", "whole_window_cost", "window_steps"]

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Cost:
    """What it costs to choose one action: operations and memory.

    Attributes:
        flops: of an action, the mean over a rollout.
        bytes: of the keys and values that are held at most to choose an action of one agent, its query's own included.
    """

    flops: float
    bytes: int


def pass_flops(shape: DecisionShape, tokens: int, keys: int | None = None) -> int:
    """Floating-point operations of a forward pass for one agent that is answered at its last token.

    With width d, inner width i, T tokens, K keys and A actions: a layer computes keys and values, 4 T d^2, and for R
    rows queries and the output, 4 R d^2, the attention, 4 R K d, and the feed-forward part, 4 R d i. R = T but in
    the last layer, where R = 1. The head takes 2 d A.

    Args:
        tokens: T, of the transitions that are computed and the query.
        keys: K, of all transitions that are attended to and the query; T by default, more where some are cached.
    """
    d, keys = shape.n_embd, tokens if keys is None else keys

    def layer(rows: int) -> int:
        return 4 * tokens * d * d + 4 * rows * d * (d + keys + shape.n_inner)

    return (shape.n_layer - 1) * layer(tokens) + layer(1) + 2 * d * shape.n_actions


def held_bytes(shape: DecisionShape, tokens: int) -> int:
    """The bytes of the keys and values of so many tokens in all layers, in float32."""
    return shape.n_layer * tokens * 2 * shape.n_embd * BYTES


def window_steps(actions: int, size: int, slide: int) -> Iterator[tuple[int, int]]:
    """For each action of a rollout: the transitions in the window, and those among them that the cache has not seen."""
    n = new = 0
    for _ in range(actions):
        yield n, new
        slides = n == size
        n = size - slide + 1 if slides else n + 1
        new = n if slides else 1


def cached_cost(shape: DecisionShape, actions: int, size: int, slide: int) -> Cost:
    """The cost of the whole window with a key/value cache, made anew each time the window slides: keepmap's rollout."""
    flops = sum(pass_flops(shape, new + 1, n + 1) for n, new in window_steps(actions, size, slide))
    return Cost(flops / actions, held_bytes(shape, min(size, actions - 1) + 1))


def whole_window_cost(shape: DecisionShape, actions: int, size: int, slide: int) -> Cost:
    """The cost of the whole window computed again for each action: the guide's rollout."""
    flops = sum(pass_flops(shape, n + 1) for n, _ in window_steps(actions, size, slide))
    return Cost(flops / actions, held_bytes(shape, min(size, actions - 1) + 1))


def shortened_cost(
    shape: DecisionShape, compressor: Compressor, tally: Tally, actions: int, size: int, slide: int
) -> Cost:
    """The cost of a pass over what a compressor keeps, and where attention decides that of the look: at the window,
    whose keys and values are cached, or of one that remembers at what it held, anew.

    Args:
        tally: of what was computed. Agents that act together are computed as wide as the one that keeps most; each
            alone would take what it keeps.
    """
    kept = _pass_cost(shape, tally.computed)
    if not compressor.needs_attention:
        return kept
    look = _pass_cost(shape, tally.shown) if compressor.remembers else cached_cost(shape, actions, size, slide)
    return Cost(kept.flops + look.flops, kept.bytes + look.bytes)


def _pass_cost(shape: DecisionShape, lengths: Mapping[int, int]) -> Cost:
    """The mean cost of passes, of which so many had so many transitions."""
    flops = sum(count * pass_flops(shape, m + 1) for m, count in lengths.items()) / sum(lengths.values())
    return Cost(flops, held_bytes(shape, max(lengths) + 1))
