"""What one layer of a cache holds, and what its rule drops after a step.

G KV heads · W columns: the entries that are held, those first whose keys and values are.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.arguments import ENDLESS
from keepmap.kv.budgets import Shares
from keepmap.kv.cache.record import Record
from keepmap.kv.cache.rows import Columns, Slabs
from keepmap.kv.choosing import LayerRule, Protection, Rule, Threshold, rule_in_layer
from keepmap.kv.eviction.checks import nan_score
from keepmap.kv.eviction.review import Holding, Sight
from keepmap.kv.method import Method, Received, Reviewed, Scored
from keepmap.kv.methods.baseline import Baseline
from keepmap.kv.modes import Mode
from keepmap.kv.scoring.projection import output_norms
from keepmap.kv.sharing import lowest

__all__ = ["AFTER_THE_CUT", "Held", "Terms"]

_NO_POSITION = np.iinfo(np.int32).max


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What decides in every layer: a method, a rule, and when it is applied."""

    method: Method
    rule: LayerRule
    protection: Protection
    chunk_size: int
    seed: int
    mode: Mode = Mode()

    @property
    def of_model(self) -> Rule:
        """The rule of all layers."""
        return self.rule.rule if isinstance(self.rule, Shares) else self.rule

    @property
    def spread(self) -> str | None:
        """Who shares the budget, in a word; None under a threshold."""
        return None if isinstance(self.of_model, Threshold) else self.of_model.spread

    def in_layer(self, layer: int, layers: int, heads: int) -> "Terms":
        """What decides in one layer.

        Raises:
            InputError: a table for another number of layers or heads.
        """
        return replace(self, rule=rule_in_layer(self.of_model, layer, layers, heads))

    def due(self, end: int) -> tuple[int, int, int]:
        """What is decided once `end` queries are processed: positions from `left` to before `leaving` (0 where none
        are), and how many each head drops by the budget rule (at most, where they differ), -1 under a threshold."""
        left, leaving = self.left(end), end - self.protection.window
        drops = -1 if isinstance(self.rule, Threshold) else self.drops(end)
        return left, leaving if leaving > left and drops else 0, drops

    def left(self, end: int) -> int:
        """Before this position all had been decided when the chunk began whose last query is `end` - 1."""
        begun = (end - 1) // self.chunk_size * self.chunk_size
        return max(self.protection.n_sink, begun - self.protection.window)

    def drops(self, end: int) -> int:
        """How many each head drops by the budget rule at the end of that chunk; at most, where they differ."""
        assert not isinstance(self.rule, Threshold)
        begun = (end - 1) // self.chunk_size * self.chunk_size
        before, after = (self.protection.compressible_left(step) for step in (begun, end))
        if isinstance(self.rule, Shares):
            return max(self.rule.drops(before, after))
        return (after - self.rule.capacity(after)) - (before - self.rule.capacity(before))


AFTER_THE_CUT = Terms(
    method=Baseline(),
    rule=Threshold(float("-inf")),
    protection=Protection(0, ENDLESS),
    chunk_size=1,
    seed=0,
)
"""In mode "once" nothing is decided any more, and what comes is scored 0."""


class Held:
    """Keys, values, positions and scores of one layer, and the record of what went.

    Attributes:
        slabs: keys and values, with `columns` in the same order.
        ghosts: entries that are held, but whose keys and values the model's own sliding window hides from now on; they
            are freed, and the rule goes on to decide about the entries.
        sight: the last queries, for methods that look at them.
        projection: the model's weights behind the layer's attention, for methods that look at them.
        seen: how many positions have come.
        peak: bytes that it took at most since this was last set to 0.
    """

    def __init__(self, layer: int, heads: int, keys: Float[Tensor, "rows D"], values: Float[Tensor, "rows Dv"]) -> None:
        self.layer = layer
        self.slabs = Slabs(heads, keys, values)
        self.columns, self.ghosts = Columns(heads), Columns(heads)
        self.record = Record(heads)
        self.sight: Sight | None = None
        self.projection: Tensor | None = None
        self.seen = self.peak = 0

    @property
    def nbytes(self) -> int:
        """Keys, values and bookkeeping."""
        sight = 0 if self.sight is None else self.sight.nbytes
        return self.slabs.nbytes + self.columns.nbytes + self.ghosts.nbytes + self.record.nbytes + sight

    @property
    def heads(self) -> int:
        """G."""
        return len(self.slabs.counts)

    def append(
        self, keys: Float[Tensor, "G new D"], values: Float[Tensor, "G new Dv"], scores: np.ndarray | None
    ) -> None:
        """New positions, with the scores of methods that know them now."""
        positions = np.arange(self.seen, self.seen + keys.shape[1], dtype=np.int32)
        known = np.zeros((self.heads, keys.shape[1])) if scores is None else scores
        self.slabs.append(keys, values)
        self.columns.append([positions] * self.heads, list(known))
        self.record.append(known)
        self.seen += keys.shape[1]
        self.peak = max(self.peak, self.nbytes)

    def slide(self, oldest: int, method: Method, new: int = 1) -> None:
        """Free the keys and values of positions before `oldest`, which no query will see, and no score looks at.

        Args:
            new: of the queries that came, how many may still decide.
        """
        if oldest > 0 and self.sight is not None and isinstance(method, Reviewed):
            if method.needs_hidden:
                return
            if back := method.observes + new - 1:
                sees_from = self.sight.sees_from
                oldest = min(oldest, int(sees_from[max(0, len(sees_from) - back)]))
        if oldest <= 0:
            return
        hidden = (self.columns.positions >= 0) & (self.columns.positions < oldest)
        if not hidden.any():
            return
        at = [np.flatnonzero(row) for row in hidden]
        columns = self.columns
        moved = (
            [values[head, at[head]] for head in range(self.heads)] for values in (columns.positions, columns.scores)
        )
        self.ghosts.append(*moved)
        self._take_out(hidden)

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and scores [G, W] of what is held; -1 is padding."""
        width, ghosts = self.columns.width, self.ghosts.width
        parts = ((self.columns, width), (self.ghosts, ghosts)) if ghosts else ((self.columns, width),)
        positions = [part.positions[:, :size] for part, size in parts]
        scores = [part.scores[:, :size] for part, size in parts]
        return (positions[0], scores[0]) if not ghosts else (np.hstack(positions), np.hstack(scores))

    def scores_at(self, terms: Terms, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions and, once `end` queries are processed, scores."""
        positions, scores = self.all()
        if isinstance(terms.method, Received):
            total, queries = torch.from_numpy(scores), torch.from_numpy((end - positions).astype(np.int64))
            scores = terms.method.score(total, queries).numpy()
        if isinstance(terms.method, Reviewed):
            scores = self._reviewed(terms.method, terms, positions, end)
        return positions, scores

    def _reviewed(self, method: Reviewed, terms: Terms, positions: np.ndarray, end: int) -> np.ndarray:
        """[G, W], the scores of what is held, which are made of its positions in order."""
        assert self.sight is not None
        order = np.argsort(np.where(positions < 0, _NO_POSITION, positions), axis=1, kind="stable")
        scores = np.zeros(positions.shape)
        in_order = np.take_along_axis(positions, order, axis=1).astype(np.int64)
        in_turn = self.holding().scored(method, self.sight, in_order, end - 1, terms.rule, terms.protection, terms.seed)
        np.put_along_axis(scores, order, in_turn, axis=1)
        return scores

    def rows(self) -> np.ndarray:
        """[G, N], in which row of `slabs.whole()` the key and the value of a position are; -1 where they are gone."""
        rows = np.full((self.heads, self.seen), -1)
        positions = self.columns.positions[:, : self.columns.width]
        heads, columns = np.nonzero(positions >= 0)
        rows[heads, positions[heads, columns]] = self.slabs.starts[heads] + columns
        return rows

    def holding(self) -> Holding:
        """The slabs' keys and values, for a method that scores them anew."""
        keys, values = self.slabs.whole()
        return Holding(layer=self.layer, keys=keys, values=values, rows=self.rows(), norms=self._norms())

    def _norms(self) -> Float[Tensor, "G rows"] | None:
        """Of the values behind the projection, at each head's own rows."""
        if self.projection is None:
            return None
        by_head = self.projection.unflatten(0, (self.heads, -1))
        norms = self.slabs.values.new_zeros(
            len(self.slabs.values), dtype=torch.promote_types(self.slabs.values.dtype, torch.float32)
        )
        for heads, _, values in self.slabs.parts():
            for start, own in zip(
                self.slabs.starts[heads], output_norms(values, by_head[heads].flatten(0, 1)), strict=True
            ):
                norms[start : start + len(own)] = own
        return norms.expand(self.heads, -1)

    def rescore(self, scores: np.ndarray) -> None:
        """Hold other scores, [G, W] as of `all`."""
        width = self.columns.width
        self.columns.scores[:, :width] = scores[:, :width]
        self.ghosts.scores[:, : self.ghosts.width] = scores[:, width:]

    def scores_now(self, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
        """Positions and scores as they stand: those of a decision that fell after the last query, where one did."""
        fell = self.seen % terms.chunk_size == 0 and terms.due(self.seen)[1]
        return self.all() if isinstance(terms.method, Reviewed) and fell else self.scores_at(terms, self.seen)

    def gone(self, terms: Terms, end: int) -> tuple[np.ndarray, np.ndarray] | None:
        """What the rule drops when `end` queries are processed, bool [G, W], and the scores that say so.

        Raises:
            ImpossibleResultError: a NaN score.
        """
        left, leaving, _ = terms.due(end)
        if not leaving:
            return None
        positions, scores = self.scores_at(terms, end)
        if isinstance(terms.rule, Threshold):
            deciding = (positions >= left) & (positions < leaving)
            dropped = deciding & (scores < terms.rule.threshold)
        else:
            deciding = (positions >= terms.protection.n_sink) & (positions < leaving)
            dropped = lowest(scores, positions, deciding, terms.rule, terms.protection.compressible_left(end))
        if np.isnan(scores[deciding]).any():
            raise nan_score(terms.method.name, self.layer)
        return dropped, scores

    def decide(self, terms: Terms) -> None:
        """Drop what the rule drops now."""
        if self.seen % terms.chunk_size or (choice := self.gone(terms, self.seen)) is None:
            return
        dropped, scores = choice
        if not isinstance(terms.method, Scored):
            positions, _ = self.all()
            which = dropped
            if isinstance(terms.method, Reviewed):
                self.rescore(scores)
            if isinstance(terms.rule, Threshold):
                which = (positions >= terms.left(self.seen)) & (positions < self.seen - terms.protection.window)
            self.record.rate(positions, scores, which)
        self.drop(dropped, np.full(dropped.shape, self.seen))

    def drop(self, dropped: np.ndarray, ends: np.ndarray) -> None:
        """Drop entries, bool [G, W], that expired at `ends`."""
        if not dropped.any():
            return
        positions, _ = self.all()
        self.record.expire(positions, ends, dropped)
        width = self.columns.width
        ghosts = dropped[:, width:]
        self._take_out(dropped[:, :width])
        if ghosts.any():
            stays = [np.flatnonzero(~row[:count]) for row, count in zip(ghosts, self.ghosts.counts, strict=True)]
            self.ghosts.keep(stays)

    def settle(self, terms: Terms) -> None:
        """Record the scores as they stand, after which nothing is decided any more."""
        positions, scores = self.scores_now(terms)
        self.record.rate(positions, scores, positions >= 0)

    def as_if_ended(self, terms: Terms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expiries, scores and what is held [G, N], as they are if the text ends here."""
        n = self.seen
        expires, scores = self.record.expires.astype(np.int64), self.record.scores.copy()
        positions, now = self.scores_now(terms)
        stays = positions >= 0
        # A context is cut where it ends, and nowhere else; and the end of a text ends no interval.
        if (
            terms.mode.name != "once"
            and terms.mode.ends
            and n % terms.chunk_size
            and (choice := self.gone(terms, n)) is not None
        ):
            expires[np.nonzero(choice[0])[0], positions[choice[0]]] = n
        if not isinstance(terms.method, Scored):
            rated = stays
            if isinstance(terms.rule, Threshold):
                rated = stays & ((positions < terms.protection.n_sink) | (positions >= terms.left(n + 1)))
            scores[np.nonzero(rated)[0], positions[rated]] = now[rated]
        is_held = expires == 0
        return np.where(is_held, n, np.minimum(expires, n)), scores, is_held

    def copy(self) -> "Held":
        """The same in memory of its own."""
        other = Held.__new__(Held)
        other.layer, other.seen, other.peak = self.layer, self.seen, 0
        other.slabs, other.columns, other.ghosts = self.slabs.copy(), self.columns.copy(), self.ghosts.copy()
        other.record, other.sight, other.projection = self.record.copy(), self.sight, self.projection
        return other

    def _take_out(self, what: np.ndarray) -> None:
        """Free keys and values, bool [G, W]."""
        if what.sum(axis=1).max(initial=0) <= 1:
            heads, at = np.nonzero(what)
            self.slabs.remove(heads, at)
            self.columns.remove(heads, at)
            self.slabs.shrink()
            return
        rows = [np.flatnonzero(~row[:count]) for row, count in zip(what, self.columns.counts, strict=True)]
        self.slabs.keep(rows)
        self.columns.keep(rows)
