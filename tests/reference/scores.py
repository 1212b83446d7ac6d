"""The methods' scores, one obvious function each: what position j is worth to each KV head, as seen after query `step`.

These are written from the definitions alone and share nothing with keepmap but the draws of `random`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

__all__ = [
    "GROWING",
    "Score",
    "Seen",
    "draws",
    "expected_attention",
    "h2o",
    "key_norm",
    "kvzap",
    "observed_attention",
    "random",
    "snapkv",
    "streaming_llm",
    "tova",
]

T = TypeVar("T")

REFRESH = 128
FUTURE = 512


@dataclass
class Seen:
    """What one layer has processed so far: the queries 0..step, and nothing later.

    Attributes:
        hidden: [step+1, hidden], the inputs of the layer's attention.
        queries: [H, step+1, D]; keys, values: [G, step+1, D], as cached (rotated).
        attention: [H, step+1, step+1], what each query gave to each position in the evicting model.
        alive: bool [G, step+1], what is held when the step's decision falls.
        rotations: positions -> [len, D, D], the matrices M with `rotated = unrotated @ M`; None: the layer has none.
    """

    layer: int
    step: int
    hidden: Tensor
    queries: Tensor
    keys: Tensor
    values: Tensor
    attention: Tensor
    alive: Tensor
    scaling: float
    n_sink: int
    rotations: Callable[[range], Tensor] | None
    cache: dict[object, object] = field(default_factory=dict)  # of this layer, over the whole pass

    def group(self, head: int) -> range:
        """The query heads that share KV head `head`."""
        size = self.queries.shape[0] // self.keys.shape[0]
        return range(head * size, (head + 1) * size)


Score = Callable[[Seen, int, int], float]
"""(what the layer has seen, KV head, position j) -> score."""


def streaming_llm(seen: Seen, head: int, j: int) -> float:
    """Every position is worth the same: under a budget the most recent stay."""
    return 0.0


def key_norm(seen: Seen, head: int, j: int) -> float:
    """Minus the length of the key, to 13 binary digits."""
    return -_to_digits(math.sqrt(sum(float(x) ** 2 for x in seen.keys[head, j])))


def _to_digits(score: float) -> float:
    """To 13 binary digits: equal keys tie."""
    mantissa, exponent = math.frexp(score)
    return math.ldexp(round(mantissa * 8192) / 8192, exponent)


def kvzap(surrogate: Callable[[int, Tensor], Tensor]) -> Score:
    """What the surrogate says of the layer's input at j."""
    return lambda seen, head, j: float(surrogate(seen.layer, seen.hidden[j : j + 1])[0, head])


def h2o(seen: Seen, head: int, j: int) -> float:
    """The attention that j received from the queries j..step, summed; mean over the group's query heads."""
    heads = seen.group(head)
    return sum(float(seen.attention[h, j:, j].double().sum()) for h in heads) / len(heads)


def observed_attention(seen: Seen, head: int, j: int) -> float:
    """The attention that j received from the queries j..step, mean over them and the group's query heads."""
    return h2o(seen, head, j) / (seen.step - j + 1)


def snapkv(seen: Seen, head: int, j: int) -> float:
    """What the last 32 queries give to j and to two neighbours on either side of it, on average."""
    first = max(0, seen.step - 31)
    if j >= first:
        return 1.0
    before = [i for i in range(first) if bool(seen.alive[head, i])]
    at = before.index(j)
    neighbours = before[max(0, at - 2) : at + 3]
    given = [_given_now(seen, h, first)[:, neighbours].sum() / 5 for h in seen.group(head)]
    return float(sum(given)) / (seen.step + 1 - first) / len(given)


def tova(seen: Seen, head: int, j: int) -> float:
    """What the last query gives to j, the mean over all heads of the layer."""
    if j == seen.step:
        return 1.0
    given = [_given_now(seen, h, seen.step)[0, j] for h in range(seen.queries.shape[0])]
    return float(sum(given)) / len(given)


def _given_now(seen: Seen, query_head: int, first: int) -> Tensor:
    """[queries, step+1], what the queries first..step would give if, of what they saw, they saw what is held now."""

    def compute() -> Tensor:
        given = seen.attention[query_head, first:].double()
        alive = seen.alive[query_head * seen.keys.shape[0] // seen.queries.shape[0]]
        # A learned sink has its part, which is none of the positions'.
        sink = (1.0 - given.sum(dim=1, keepdim=True)).clamp(min=0.0)
        left = torch.where(alive, given, 0.0)
        return left / (left.sum(dim=1, keepdim=True) + sink).clamp(min=1e-300)

    return _once(seen, ("given", query_head, first, seen.step), compute)


GROWING = frozenset({"h2o", "observed_attention", "snapkv", "tova"})
"""Methods whose scores change with every query, so that a budget compares them as they stand at the step."""


def expected_attention(seen: Seen, head: int, j: int) -> float:
    """How much the coming queries are expected to look at j, over what they are expected to give an average key."""
    refresh = _last_refresh(seen.step)
    start = seen.n_sink if refresh >= seen.n_sink else 0
    known = range(start, refresh + 1)
    ratios = []
    for query_head in seen.group(head):
        mean, covariance = _query_statistics(seen, query_head, known)
        normaliser = _normaliser(seen, query_head, head, known)
        expected = _expected_logit(seen, mean, covariance, seen.keys[head, j].double(), seen.step)
        ratios.append(math.exp(min(expected - normaliser, 60.0)))
    lengths = [float(seen.values[head, i].double().norm()) for i in known]
    mean_length = sum(lengths) / len(lengths)
    return _to_digits(sum(ratios) / len(ratios) * float(seen.values[head, j].double().norm()) / mean_length)


def _last_refresh(step: int) -> int:
    """0, 1, 2, 4, 8, ... 64, then the multiples of 128."""
    if step >= REFRESH:
        return step - step % REFRESH
    return max((2**power for power in range(8) if 2**power <= step), default=0)


def _normaliser(seen: Seen, query_head: int, head: int, known: range) -> float:
    """The log of the mean, over the known keys, of the expected exponential of their logits."""

    def compute() -> float:
        mean, covariance = _query_statistics(seen, query_head, known)
        keys = [seen.keys[head, i].double() for i in known]
        expected = [_expected_logit(seen, mean, covariance, key, known[-1]) for key in keys]
        largest = max(expected)
        return largest + math.log(sum(math.exp(value - largest) for value in expected) / len(expected))

    return _once(seen, ("normaliser", query_head, known[-1]), compute)


def _query_statistics(seen: Seen, query_head: int, known: range) -> tuple[Tensor, Tensor]:
    """Mean [D] and covariance [D, D] of the unrotated queries at these positions."""

    def compute() -> tuple[Tensor, Tensor]:
        queries = [seen.queries[query_head, i].double() for i in known]
        if seen.rotations is not None:
            queries = [q @ torch.linalg.inv(m) for q, m in zip(queries, seen.rotations(known), strict=True)]
        mean = sum(queries[1:], queries[0]) / len(queries)
        outer = [torch.outer(q - mean, q - mean) for q in queries]
        return mean, sum(outer[1:], outer[0]) / len(queries)

    return _once(seen, ("statistics", query_head, known[-1]), compute)


def _expected_logit(seen: Seen, mean: Tensor, covariance: Tensor, key: Tensor, after: int) -> float:
    """The log of E[exp(scaling * q . key)] for Gaussian q, turned by the mean rotation of after+1..after+512."""
    if seen.rotations is not None:
        rotations = seen.rotations
        turn = _once(seen, ("turn", after), lambda: rotations(range(after + 1, after + FUTURE + 1)).mean(0))
        mean, covariance = mean @ turn, turn.T @ covariance @ turn
    return float(seen.scaling * mean @ key + 0.5 * seen.scaling**2 * key @ covariance @ key)


def _once(seen: Seen, what: object, compute: Callable[[], T]) -> T:
    if what not in seen.cache:
        seen.cache[what] = compute()
    return seen.cache[what]  # type: ignore[return-value]


@functools.cache
def draws(layers: int, heads: int, n: int, seed: int) -> Tensor:
    """The draws of keepmap's `random` [L, G, N]: a function of seed, layer, head and position alone."""
    from keepmap.kv.method import LayerInput
    from keepmap.kv.methods.random import Random

    nothing = torch.zeros(heads, n, 1)
    at = torch.arange(n)
    inputs = [
        LayerInput(
            layer=index,
            hidden_states=nothing[0],
            queries=nothing,
            keys=nothing,
            values=nothing,
            rotation=None,
            decided_at=at,
            scaling=1.0,
            n_sink=0,
            seed=seed,
        )
        for index in range(layers)
    ]
    return torch.stack([Random().score(layer) for layer in inputs])


def random(layers: int, heads: int, n: int, seed: int) -> Score:
    """A draw."""
    drawn = draws(layers, heads, n, seed)
    return lambda seen, head, j: float(drawn[seen.layer, head, j])
