"""Decisions by scores that are made anew at each of them, of what a layer holds at that moment.

Such scores look at queries, keys and values alone: what goes when is known before the layer's attention runs. Memory is
that of what is held, and of the queries that are observed.

H query head · G KV head · N positions · K entries that the fullest head holds.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.kv.budgets import Shares
from keepmap.kv.choosing import Expiries, LayerRule, Protection, Threshold
from keepmap.kv.eviction.checks import nan_score, require_scores
from keepmap.kv.eviction.scan import State, schedule
from keepmap.kv.method import HeldInput, Reviewed, Rotation
from keepmap.kv.passes import LayerCall
from keepmap.kv.scoring.ahead import Ahead
from keepmap.kv.scoring.moments import QuerySums
from keepmap.kv.scoring.projection import output_norms
from keepmap.kv.sharing import lowest

__all__ = ["Holding", "Sight", "advance_reviews", "review", "sight_of"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sight:
    """The last queries of a layer, and what its attention makes of them.

    Attributes:
        step: the position of the last of the queries.
        queries: [H, Q, D]. sees_from: [Q], the first position that the model's own rules let each of them see.
        scaling, softcap, sinks, rotation: as in HeldInput.
        sums: of all queries so far, for methods that look at their moments.
    """

    step: int
    queries: Float[Tensor, "H Q D"]
    sees_from: Int[Tensor, " Q"]
    scaling: float
    softcap: float | None
    sinks: Float[Tensor, " H"] | None
    rotation: Rotation | None
    sums: QuerySums | None = None

    @property
    def first(self) -> int:
        """The position of the first of the queries."""
        return self.step + 1 - self.queries.shape[1]

    def summed(self, method: Reviewed, step: int, n_sink: int) -> "Sight":
        """With the sums that the method looks at after `step`."""
        if not method.needs_moments:
            return self
        sums = QuerySums.none(self.queries) if self.sums is None else self.sums
        upto = sums.upto(method.refreshed(step), n_sink, self.queries, self.first, self.rotation)
        return self if upto is self.sums else replace(self, sums=upto)

    def last(self, count: int) -> "Sight":
        """The last `count` queries, and those that are not in the sums, in memory of their own."""
        if self.sums is not None:
            count = max(count, self.step + 1 - self.sums.end)
        first = max(0, self.queries.shape[1] - count)
        return replace(self, queries=self.queries[:, first:].clone(), sees_from=self.sees_from[first:].clone())

    @property
    def nbytes(self) -> int:
        """What the queries take."""
        return self.queries.nbytes + self.sees_from.nbytes + (0 if self.sums is None else self.sums.nbytes)


def sight_of(call: LayerCall, rotation: Rotation | None, earlier: Sight | None = None) -> Sight:
    """The queries of a call, behind earlier ones that are still to be seen."""
    queries, sees_from = call.queries, call.sees_from
    step = call.queries.shape[1] - 1
    if earlier is not None:
        queries, sees_from = (
            torch.cat([earlier.queries, queries], dim=1),
            torch.cat([earlier.sees_from, sees_from]),
        )
        step += earlier.step + 1
    return Sight(
        step=step,
        queries=queries,
        sees_from=sees_from,
        scaling=call.scaling,
        softcap=call.softcap,
        sinks=call.sinks,
        rotation=rotation,
        sums=None if earlier is None else earlier.sums,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Holding:
    """Keys and values of one layer.

    Attributes:
        layer: its index.
        keys, values: [G, rows, D], each head's. rows: [G, N], in which of them a position is, -1 where its key and its
            value are gone, as nobody sees them; None where that is its number.
        norms: [G, rows], of the values behind the layer's output projection, for methods with `needs_norms`.
        ahead: what later queries pay, for oracles.
    """

    layer: int
    keys: Float[Tensor, "G rows D"]
    values: Float[Tensor, "G rows Dv"]
    rows: np.ndarray | None = None
    norms: Float[Tensor, "G rows"] | None = None
    ahead: Ahead | None = None

    def scored(
        self,
        method: Reviewed,
        sight: Sight,
        positions: np.ndarray,
        step: int,
        rule: LayerRule,
        protection: Protection,
        seed: int,
    ) -> np.ndarray:
        """The method's scores after query `step` of what is held then, float64 [G, K]; NaN is left in.

        Raises:
            InputError: the method gave something else than one number for each entry.
        """
        device = self.keys.device
        at = positions.clip(min=0)
        if self.rows is not None:
            at = np.take_along_axis(self.rows, at, axis=1)
        index = torch.from_numpy(at.clip(min=0)).to(device)
        lacks = (positions < 0) | (at < 0)
        missing = torch.from_numpy(lacks).to(device)[..., None] if lacks.any() else None
        keys = _gathered(self.keys, index, missing)
        values = _gathered(self.values, index, missing) if method.needs_values else _zeros(self.values, index)
        norms = None if self.norms is None else self.norms.gather(1, index)
        # Their own positions are the last ones up to `step`.
        end = sight.queries.shape[1] - (sight.step - step)
        n_sink = protection.n_sink
        sums = sight.summed(method, step, n_sink).sums
        observed = slice(max(0, end - method.observes), end)
        held = HeldInput(
            layer=self.layer,
            step=step,
            positions=torch.from_numpy(positions).to(device),
            keys=keys,
            values=values,
            queries=sight.queries[:, observed],
            sees_from=sight.sees_from[observed],
            scaling=sight.scaling,
            softcap=sight.softcap,
            sinks=sight.sinks,
            rotation=sight.rotation,
            n_sink=n_sink,
            seed=seed,
            moments=None if sums is None else sums.moments(),
            window=protection.window,
            capacity=_capacity(rule, protection.compressible_left(step + 1), index) if method.needs_capacity else None,
            norms=norms,
            ahead=None if self.ahead is None else self.ahead.after(step).gather(1, index),
        )
        scores = require_scores(method.name, method.score(held), positions.shape, "entry that is held")
        result: np.ndarray = scores.detach().double().cpu().numpy()
        return result


def review(
    call: LayerCall,
    method: Reviewed,
    rule: LayerRule,
    protection: Protection,
    chunk_size: int,
    rotation: Rotation | None,
    seed: int,
    ends: bool = True,
    projection: Float[Tensor, "all_heads hidden"] | None = None,
    ahead: Ahead | None = None,
) -> tuple[Expiries, Float[Tensor, "G N"]]:
    """What `method` and `rule` decide in one layer about a whole text, and the scores that decided it.

    Args:
        projection: of the layer's output, for methods with `needs_norms`. ahead: what later queries pay, for oracles.
        ends: whether the end of the text ends the last chunk.

    Raises:
        InputError: scores of another shape.
        ImpossibleResultError: a NaN score; names the method.
    """
    heads, n = call.keys.shape[:2]
    state = State(heads, n, protection.n_sink)
    sight = sight_of(call, rotation)
    norms = None if projection is None else output_norms(call.values, projection)
    holding = Holding(layer=call.layer, keys=call.keys, values=call.values, norms=norms, ahead=ahead)
    final = advance_reviews(holding, sight, method, rule, protection, chunk_size, state, 0, seed, ends)
    if final is None:
        positions = _held_before(state, n)
        final = np.zeros((heads, n))
        _put(final, positions, holding.scored(method, sight, positions, n - 1, rule, protection, seed))
    decided = ~state.held()
    if isinstance(rule, Threshold):
        decided[:, protection.n_sink : state.left] = True
    scores = np.where(decided, state.scores, final)
    if np.isnan(scores).any():
        raise nan_score(method.name, call.layer)
    expires, held, rated = (
        torch.from_numpy(part).to(call.keys.device) for part in (np.minimum(state.expires, n), state.held(), scores)
    )
    return Expiries(expires, held), rated


def advance_reviews(
    holding: Holding,
    sight: Sight,
    method: Reviewed,
    rule: LayerRule,
    protection: Protection,
    chunk_size: int,
    state: State,
    first: int,
    seed: int,
    ends: bool,
) -> np.ndarray | None:
    """Decide after each of the queries first..N-1 that decides: `state` then says what.

    Args:
        ends: whether the text ends after N positions, and with it the last chunk.

    Returns:
        The scores [G, N] of all that was held when a decision fell after the last query; None where none did.

    Raises:
        InputError: scores of another shape.
        ImpossibleResultError: a NaN score that is to decide.
    """
    heads, n = state.expires.shape
    leaves, drops = schedule(n, rule, protection, chunk_size, heads, ends)
    scores: np.ndarray | None = None
    last = -1
    for end in (np.flatnonzero(leaves[first:]) + first + 1).tolist():
        leaving = int(leaves[end - 1])
        if not drops[end - 1].any():
            continue
        positions, last = _held_before(state, end), end
        sight = sight.summed(method, end - 1, protection.n_sink)
        scores = holding.scored(method, sight, positions, end - 1, rule, protection, seed)
        deciding = (positions >= protection.n_sink) & (positions < leaving)
        if isinstance(rule, Threshold):
            deciding &= positions >= state.left
            _put(state.scores, positions, scores, deciding)
            at_head, at = np.nonzero(deciding & (scores < rule.threshold))
        else:
            gone = lowest(scores, positions, deciding, rule, protection.compressible_left(end))
            at_head, at = np.nonzero(gone)
            state.scores[at_head, positions[at_head, at]] = scores[at_head, at]
        if np.isnan(scores[deciding]).any():
            raise nan_score(method.name, holding.layer)
        state.expires[at_head, positions[at_head, at]] = end
        state.left = leaving
    if last != n or scores is None:
        return None
    result = np.zeros((heads, n))
    _put(result, positions, scores)
    return result


def _gathered(
    states: Float[Tensor, "G rows D"], index: Int[Tensor, "G K"], missing: Bool[Tensor, "G K 1"] | None
) -> Float[Tensor, "G K D"]:
    """Each head's rows in the order of `index`; 0 where they are missing."""
    result = states.new_empty(*index.shape, states.shape[2])
    for head, into in enumerate(result):
        torch.index_select(states[head], 0, index[head], out=into)
    return result if missing is None else result.masked_fill_(missing, 0.0)


def _zeros(states: Float[Tensor, "G rows D"], index: Int[Tensor, "G K"]) -> Float[Tensor, "G K D"]:
    """In the room of one number."""
    return states.new_zeros(()).expand(*index.shape, states.shape[2])


def _capacity(rule: LayerRule, m: int, like: Tensor) -> Int[Tensor, " G"] | None:
    """How many of m compressible entries each head may hold; None under a threshold."""
    if isinstance(rule, Threshold):
        return None
    each = rule.capacities(m) if isinstance(rule, Shares) else [rule.capacity(m)] * like.shape[0]
    return torch.tensor(each, device=like.device)


def _held_before(state: State, end: int) -> np.ndarray:
    """[G, K]: the positions before `end` that each head holds, in order; -1 where it holds fewer."""
    alive = state.held()[:, :end]
    counts = alive.sum(axis=1)
    if (counts == counts[0]).all():
        return np.nonzero(alive)[1].reshape(len(alive), -1)
    positions = np.full((len(alive), int(counts.max())), -1)
    positions[np.arange(positions.shape[1]) < counts[:, None]] = np.nonzero(alive)[1]
    return positions


def _put(into: np.ndarray, positions: np.ndarray, scores: np.ndarray, which: np.ndarray | None = None) -> None:
    """Scores [G, K] of entries at `positions`, into an array [G, N]."""
    wanted = positions >= 0 if which is None else which
    into[np.nonzero(wanted)[0], positions[wanted]] = scores[wanted]
