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
    "ENDLESS",
    "GROWING",
    "Score",
    "Seen",
    "compactor",
    "cur",
    "draws",
    "dropkv",
    "expected_attention",
    "expected_attention_anew",
    "given_now",
    "h2o",
    "held_by",
    "key_norm",
    "keydiff",
    "kvzap",
    "lagkv",
    "lru",
    "observed_attention",
    "once_in",
    "r_kv",
    "random",
    "snapkv",
    "streaming_llm",
    "tova",
    "value_norm",
]

T = TypeVar("T")

ENDLESS = float(torch.finfo(torch.float32).max)
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
        added: (query head, its output) -> [hidden], what that alone adds to the layer's output.
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
    added: Callable[[int, Tensor], Tensor]
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

    def compute() -> dict[int, float]:
        before = [i for i in held_by(seen, head) if i < first]
        given = [given_now(seen, h, first).sum(dim=0).tolist() for h in seen.group(head)]
        means = {i: sum(part[i] for part in given) / (seen.step + 1 - first) / len(given) for i in before}
        near = {i: before[max(0, at - 2) : at + 3] for at, i in enumerate(before)}
        return {i: sum(means[neighbour] for neighbour in near[i]) / 5 for i in before}

    return once_in(seen, ("snapkv", head, seen.step), compute)[j]


def tova(seen: Seen, head: int, j: int) -> float:
    """What the last query gives to j, the mean over all heads of the layer."""
    if j == seen.step:
        return 1.0
    given = [given_now(seen, h, seen.step)[0, j] for h in range(seen.queries.shape[0])]
    return float(sum(given)) / len(given)


def given_now(seen: Seen, query_head: int, first: int) -> Tensor:
    """[queries, step+1], what the queries first..step would give if, of what they saw, they saw what is held now."""

    def compute() -> Tensor:
        given = seen.attention[query_head, first:].double()
        alive = seen.alive[query_head * seen.keys.shape[0] // seen.queries.shape[0]]
        # A learned sink has its part, which is none of the positions'.
        sink = (1.0 - given.sum(dim=1, keepdim=True)).clamp(min=0.0)
        left = torch.where(alive, given, 0.0)
        return left / (left.sum(dim=1, keepdim=True) + sink).clamp(min=1e-300)

    return once_in(seen, ("given", query_head, first, seen.step), compute)


def keydiff(seen: Seen, head: int, j: int) -> float:
    """Minus the cosine between key j and the mean of all held keys, each of length 1."""

    def compute() -> dict[int, float]:
        held = held_by(seen, head)
        keys = seen.keys[head, held].double()
        directions = keys / keys.norm(dim=1, keepdim=True)
        mean = directions.mean(dim=0)
        return dict(zip(held, (-(directions @ mean) / mean.norm()).tolist(), strict=True))

    return once_in(seen, ("keydiff", head, seen.step), compute)[j]


def cur(seen: Seen, head: int, j: int) -> float:
    """The product of the shares of key j and value j in the squared lengths of their block of 16 held entries."""

    def square(states: str, i: int) -> float:
        return once_in(seen, (states, head, i), lambda: sum(x**2 for x in getattr(seen, states)[head, i].tolist()))

    held = held_by(seen, head)
    begin = held.index(j) // 16 * 16
    shares = []
    for states in ("keys", "values"):
        squares = {i: square(states, i) for i in held[begin : begin + 16]}
        shares.append(squares[j] / sum(squares.values()))
    return _to_digits(shares[0] * shares[1])


def compactor(seen: Seen, head: int, j: int) -> float:
    """The leverage of key j, before its rotation, among the held keys less their mean, with a ridge of 0.01."""

    def compute() -> dict[int, float]:
        held = held_by(seen, head)
        keys = [seen.keys[head, i].double() for i in held]
        if seen.rotations is not None:
            turns = seen.rotations(range(seen.step + 1))
            keys = [key @ torch.linalg.inv(turns[i]) for key, i in zip(keys, held, strict=True)]
        mean = sum(keys[1:], keys[0]) / len(keys)
        rows = torch.stack([key - mean for key in keys])
        inverse = torch.linalg.inv(rows.T @ rows + 0.01 * torch.eye(rows.shape[1], dtype=rows.dtype))
        return {i: max(0.0, float(row @ inverse @ row)) for i, row in zip(held, rows, strict=True)}

    return _to_digits(once_in(seen, ("leverage", head, seen.step), compute)[j])


def lagkv(lag: int) -> Score:
    """The rank, over `lag`, of how far j spreads on the scale of the next part of `lag` held entries."""

    def ranks(seen: Seen, head: int, own: list[int], following: list[int]) -> list[int]:
        worth = [0.0] * lag
        for states in (seen.keys, seen.values):
            scale = torch.stack([states[head, i].double() for i in following])
            least, most = scale.min(dim=0).values, scale.max(dim=0).values
            spreads = [math.exp(float(((states[head, i].double() - least) / (most - least)).std())) for i in own]
            worth = [w + spread / sum(spreads) for w, spread in zip(worth, spreads, strict=True)]
        lowest_first = sorted(range(lag), key=lambda at: worth[at])
        return [lowest_first.index(at) for at in range(lag)]

    def score(seen: Seen, head: int, j: int) -> float:
        behind = held_by(seen, head)[seen.n_sink :]
        if j not in behind or behind.index(j) // lag + 1 >= len(behind) // lag:
            return 1.0
        begin = behind.index(j) // lag * lag
        own, following = behind[begin : begin + lag], behind[begin + lag : begin + 2 * lag]
        parts = (head, *own, *following)
        return once_in(seen, parts, lambda: ranks(seen, head, own, following))[own.index(j)] / lag

    return score


def held_by(seen: Seen, head: int) -> list[int]:
    return once_in(seen, ("held", head, seen.step), lambda: seen.alive[head].nonzero().flatten().tolist())


def expected_attention_anew(seen: Seen, head: int, j: int) -> float:
    """As below, but of the rotation after this step, and over the averages of what is held now."""
    refresh = _last_refresh(seen.step)
    start = seen.n_sink if refresh >= seen.n_sink else 0
    held = held_by(seen, head)
    beyond = [i for i in held if i >= seen.n_sink] or held
    ratios = []
    for query_head in seen.group(head):
        mean, covariance = _query_statistics(seen, query_head, range(start, refresh + 1))

        def expected(i: int, mean: Tensor = mean, covariance: Tensor = covariance) -> float:
            return _expected_logit(seen, mean, covariance, seen.keys[head, i].double(), seen.step)

        known = once_in(seen, ("now", query_head, seen.step), lambda expected=expected: {i: expected(i) for i in held})
        most = max(known[i] for i in beyond)
        level = most + math.log(sum(math.exp(known[i] - most) for i in beyond) / len(beyond))
        ratios.append(math.exp(min(known[j] - level, 60.0)))
    lengths = [float(seen.values[head, i].double().norm()) for i in beyond]
    length = float(seen.values[head, j].double().norm())
    return _to_digits(sum(ratios) / len(ratios) * length / (sum(lengths) / len(lengths)))


def value_norm(seen: Seen, head: int, j: int) -> float:
    """The length of the value, to 13 binary digits."""
    return _to_digits(math.sqrt(sum(float(x) ** 2 for x in seen.values[head, j])))


def lru(seen: Seen, head: int, j: int) -> float:
    """The last of 32 queries whose group gave j more than an even share of what is held; -1 where none did."""
    first = max(0, seen.step - 31)
    even = 1.0 / len(held_by(seen, head))
    given = torch.stack([given_now(seen, h, first)[:, j] for h in seen.group(head)]).mean(dim=0).tolist()
    return float(max((first + at for at, share in enumerate(given) if share > even), default=-1))


def dropkv(seen: Seen, head: int, j: int) -> float:
    """The squared change of the last 32 queries' outputs without j; the mean over the group's query heads."""
    first = max(0, seen.step - 31)
    if j >= first:
        return ENDLESS
    values, change = seen.values[head].double(), 0.0
    for query_head in seen.group(head):
        given = given_now(seen, query_head, first)
        outputs = once_in(seen, ("outputs", query_head, seen.step), lambda given=given: given @ values)
        shares = given[:, j].clamp(max=1.0 - 2.0**-20)
        apart = (values[j] - outputs).square().sum(dim=1)
        change += float(((shares / (1.0 - shares)) ** 2 * apart).sum())
    return change / len(seen.group(head))


def r_kv(seen: Seen, head: int, j: int) -> float:
    """A tenth of the attention of the last 8 queries, the most of 7 neighbours, less nine tenths of how alike j is."""

    def compute() -> dict[int, float]:
        first, held = max(0, seen.step - 7), held_by(seen, head)
        given = [given_now(seen, h, first).mean(dim=0) for h in seen.group(head)]
        paid = [float(sum(part[i] for part in given)) / len(given) for i in held]
        keys = torch.stack([seen.keys[head, i].double() for i in held])
        keys = keys / keys.norm(dim=1, keepdim=True).clamp(min=1e-12)
        alike = [0.0] * len(held)
        for a, row in enumerate((keys @ keys.T).tolist()):
            cosines = [0.0 if a == b else cosine for b, cosine in enumerate(row)]
            above = [b for b, cosine in enumerate(cosines) if cosine > 0.5]
            if above:
                cosines[above[-1]] = 0.0
            alike = [total + cosine for total, cosine in zip(alike, cosines, strict=True)]
        weights = [math.exp(total / len(held)) for total in alike]
        return {
            i: 0.1 * max(paid[max(0, at - 3) : at + 4]) - 0.9 * weights[at] / sum(weights) for at, i in enumerate(held)
        }

    return _to_digits(once_in(seen, ("r_kv", head, seen.step), compute)[j])


GROWING = frozenset(
    (
        *("dropkv", "expected_attention_anew", "lru", "r_kv", "h2o", "observed_attention", "snapkv", "tova", "keydiff"),
        *("cur", "compactor", "lagkv", "caote", "criticalkv", "defensivekv"),
    )
)
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

    return once_in(seen, ("normaliser", query_head, known[-1]), compute)


def _query_statistics(seen: Seen, query_head: int, known: range) -> tuple[Tensor, Tensor]:
    """Mean [D] and covariance [D, D] of the unrotated queries at these positions."""

    def compute() -> tuple[Tensor, Tensor]:
        queries = [seen.queries[query_head, i].double() for i in known]
        if seen.rotations is not None:
            queries = [q @ torch.linalg.inv(m) for q, m in zip(queries, seen.rotations(known), strict=True)]
        mean = sum(queries[1:], queries[0]) / len(queries)
        outer = [torch.outer(q - mean, q - mean) for q in queries]
        return mean, sum(outer[1:], outer[0]) / len(queries)

    return once_in(seen, ("statistics", query_head, known[-1]), compute)


def _expected_logit(seen: Seen, mean: Tensor, covariance: Tensor, key: Tensor, after: int) -> float:
    """The log of E[exp(scaling * q . key)] for Gaussian q, turned by the mean rotation of after+1..after+512."""
    if seen.rotations is not None:
        rotations = seen.rotations
        turn = once_in(seen, ("turn", after), lambda: rotations(range(after + 1, after + FUTURE + 1)).mean(0))
        mean, covariance = mean @ turn, turn.T @ covariance @ turn
    return float(seen.scaling * mean @ key + 0.5 * seen.scaling**2 * key @ covariance @ key)


def once_in(seen: Seen, what: object, compute: Callable[[], T]) -> T:
    if what not in seen.cache:
        seen.cache[what] = compute()
    return seen.cache[what]  # type: ignore[return-value]


@functools.cache
def draws(layers: int, heads: int, n: int, seed: int) -> Tensor:
    """The draws of keepmap's `random` [L, G, N]: a function of seed, layer, head and position alone."""
    from keepmap.kv.method import LayerInput
    from keepmap.kv.methods.random import Random

    nothing, at = torch.zeros(heads, n, 1), torch.arange(n)
    states = {"hidden_states": nothing[0], "queries": nothing, "keys": nothing, "values": nothing}
    same = {**states, "rotation": None, "decided_at": at, "scaling": 1.0, "n_sink": 0, "seed": seed}
    inputs = [LayerInput(layer=index, **same) for index in range(layers)]
    return torch.stack([Random().score(layer) for layer in inputs])


def random(layers: int, heads: int, n: int, seed: int) -> Score:
    """A draw."""
    drawn = draws(layers, heads, n, seed)
    return lambda seen, head, j: float(drawn[seen.layer, head, j])
