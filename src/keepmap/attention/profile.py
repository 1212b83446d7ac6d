"""The AttentionProfile: what each head of a model attends to in one context, without an N x N matrix.

L layers · H query heads · Q queries whose rows are kept · N positions.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer
from keepmap.attention.maps import AttentionMap, attention_map, mass_in, mass_kept
from keepmap.attention.profile_file import read, write
from keepmap.core.arguments import as_integer, as_path, shown
from keepmap.core.html import card, number, strip
from keepmap.core.keep_map import HasKeepMap, KeepMap
from keepmap.core.labels import model_label
from keepmap.core.outside.reporting import framed, write_page
from keepmap.errors import InputError, counted, escaped, kind_of

__all__ = ["AttentionProfile"]


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionProfile:
    """Exact attention statistics of one context, per layer and query head. Entropies are in nats.

    What is said per query, [L, H, N], holds for the queries in `measured`, and is NaN (-1 for positions, 0 for counts)
    at all others. A query's row p covers the n positions that it sees, itself among them. Where the model has a learned
    sink, whose share goes to no position, p adds up to less than 1: `rows`, `received`, `mean`, `std`, `maximum` and
    all masses are p as it is, and the entropy is that of p divided by its sum. Padding is left out: position 0 is the
    first real one.

    Attributes:
        received: [L, H, N], the attention that a position receives, averaged over the measured queries that see it.
        shares: [L, H, N], the attention that a position receives, averaged over all measured queries: the share of the
            head's attention that goes there, 1 in all.
        shares_by_age: [L, H, N], the share that goes to the query itself (0), to the position before it (1), ...; what
            goes to the first `n_sink` positions, or to positions after the query, is not in it.
        rows: [L, H, Q, N], the attention of the queries in `queries`; 0 where they do not see.
        queries: int64 [Q]; with all queries measured, the last one.
        measured: int64 [M], the queries that everything is measured on, ascending.
        n_visible: int64 [L, H, N], n.
        entropy: [L, H, N], -sum p ln p.
        mean, std, maximum: [L, H, N], of p over what the query sees. max_position: int64 [L, H, N].
        recent_distant: [L, H, N], mean of p over the last quarter of what the query sees (max(1, n // 4) positions) /
            its mean over the first quarter; NaN where n < 2.
        recent_distant_without_sinks: [L, H, N], the same after the first `n_sink` positions.
        sink_mass: [L, H, N], attention to the first `n_sink` positions.
        window_mass: [L, H, N], attention to the query itself and the `window` - 1 positions before it.
        log_sum_exp: [L, H, N], of the logits: p = exp(logit - log_sum_exp).
        layers, heads: the model's indices of the L layers and H heads. kv_heads: the KV head that each head reads.
        n_sink, window: what counts as sinks and as window.
        info: what was profiled: model, queries, seed, ... (JSON values).
        labels: [N], a text per position, or None.
        landmarks: an agent's episodes, steps and rewards; None for other models.
        captured: the queries and keys that `map` and `mass` compute from; None in a loaded profile.

    >>> import keepmap
    >>> profile = keepmap.profile_attention("tiny", "The code of river is 4821. " * 9)
    >>> profile.shape[:2], profile.mass(range(4)).shape == profile.entropy.shape
    ((2, 4), True)
    """

    received: Float[Tensor, "L H N"]
    shares: Float[Tensor, "L H N"]
    shares_by_age: Float[Tensor, "L H N"]
    rows: Float[Tensor, "L H Q N"]
    queries: Int[Tensor, " Q"]
    measured: Int[Tensor, " M"]
    n_visible: Int[Tensor, "L H N"]
    entropy: Float[Tensor, "L H N"]
    mean: Float[Tensor, "L H N"]
    std: Float[Tensor, "L H N"]
    maximum: Float[Tensor, "L H N"]
    max_position: Int[Tensor, "L H N"]
    recent_distant: Float[Tensor, "L H N"]
    recent_distant_without_sinks: Float[Tensor, "L H N"]
    sink_mass: Float[Tensor, "L H N"]
    window_mass: Float[Tensor, "L H N"]
    log_sum_exp: Float[Tensor, "L H N"]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    n_sink: int
    window: int
    info: Mapping[str, object] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    landmarks: Landmarks | None = None
    captured: tuple[AttentionLayer, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(L, H, N): layers, heads and positions."""
        layers, heads, n = self.received.shape
        return layers, heads, n

    @property
    def normalised_entropy(self) -> Float[Tensor, "L H N"]:
        """Entropy / ln n, in [0, 1]: 1 is uniform at any length. NaN where n < 2."""
        count = self.n_visible.to(self.entropy.dtype)
        return torch.where(count > 1, self.entropy / count.clamp(min=2).log(), float("nan"))

    @property
    def effective_positions(self) -> Float[Tensor, "L H N"]:
        """exp(entropy): the number of positions that a uniform attention of this entropy goes to."""
        return self.entropy.exp()

    @property
    def scope(self) -> str:
        """Which queries were measured, as a phrase ("all 384 queries"): part of every output."""
        return str(self.info.get("measured", f"{len(self.measured)} of {self.shape[2]} queries"))

    def map(self, layer: int, head: int, size: int = 512) -> AttentionMap:
        """The attention of all queries of one head, aggregated into at most size x size cells: mean and maximum.

        Computed when asked for, at the cost of this head's attention; whatever queries were measured.

        >>> import keepmap
        >>> profile = keepmap.profile_attention("tiny", "The code of river is 4821. " * 9)
        >>> profile.map(layer=0, head=1, size=16).mean.shape
        (16, 16)

        Raises:
            InputError: a layer or head that was not profiled, a size below 1, or a loaded profile.
        """
        size = as_integer("size", size, 1)
        index, at = self._index("layer", layer, self.layers), self._index("head", head, self.heads)
        return attention_map(self._captured("map")[index].with_heads(torch.tensor([at])), size)

    def mass(self, where: "KeepMap | Tensor | Iterable[object]") -> Float[Tensor, "L H N"]:
        """The share of each measured query's attention that goes to a set of positions, or to what a method keeps.

        >>> import keepmap
        >>> profile = keepmap.profile_attention("tiny", "The code of river is 4821. " * 9)
        >>> bool((profile.mass(range(4)) <= 1.0001).all())
        True

        Args:
            where: positions (a tensor, or any iterable of integers), or a KeepMap of the same context, or the Eviction
                that made it: of this profile's attention, what goes to entries that the map still holds at that query.

        Raises:
            InputError: a position out of range, a KeepMap of another shape, or a loaded profile.
        """
        captured, where = self._captured("mass"), getattr(where, "keep_map", where)
        if isinstance(where, KeepMap):
            return torch.stack([self._kept(at, layer, where) for at, layer in enumerate(captured)])
        positions = self._positions(where)
        return torch.stack(
            [mass_in(layer, self.log_sum_exp[at], self.measured, positions) for at, layer in enumerate(captured)]
        )

    def guide_statistics(self, layer: int) -> dict[str, float]:
        """The five figures of the last query as the guide defines them: mean over heads, context without the query.

        Keys: mean, std, max_position, recent_distant_ratio, entropy. The entropy is -sum p ln(p + 1e-10) over the
        context only, in nats, without dividing by its mass; the ratio's denominator has 1e-10 added.

        Raises:
            InputError: a layer that was not profiled, not all heads, or without the last query's row.
        """
        index, n = self._index("layer", layer, self.layers), self.shape[2]
        rows = (self.queries == n - 1).nonzero()
        if not len(rows):
            raise InputError(f"the guide's statistics are of query {n - 1}, whose row is not here; profile it too")
        if len(self.heads) != self.info.get("n_heads", len(self.heads)):
            raise InputError(
                f"the guide's statistics are over all heads, {len(self.heads)} were profiled; leave heads out"
            )
        context = self.rows[index, :, int(rows[0]), : n - 1].double().mean(dim=0)
        quarter = max(1, (n - 1) // 4)
        ratio = context[-quarter:].mean() / (context[:quarter].mean() + 1e-10) if n > 2 else math.nan
        return {
            "mean": float(context.mean()),
            "std": float(context.std(correction=0)),
            "max_position": int(context.argmax()),
            "recent_distant_ratio": float(ratio),
            "entropy": float(-(context * (context + 1e-10).log()).sum()),
        }

    def seed_statistics(self, layer: int) -> dict[str, float]:
        """The old name of `guide_statistics`."""
        return self.guide_statistics(layer)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the profile as one safetensors file, whole or not at all; without the captured queries and keys.

        Another AttentionProfile at `path` is written over.

        >>> import keepmap
        >>> profile = keepmap.profile_attention("tiny", "The code of river is 4821. " * 9)
        >>> profile.save("profile.safetensors")
        >>> keepmap.AttentionProfile.load("profile.safetensors").shape == profile.shape
        True

        Args:
            overwrite: whether a file that is no AttentionProfile is written over, too.

        Raises:
            OutputError: the path cannot be written, or a file that is no AttentionProfile is there.
        """
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        write(parts, as_path("path", path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "AttentionProfile":
        """Read a profile that `save` wrote; it has everything but `map` and `mass`.

        >>> AttentionProfile.load("profile_that_is_not_there.safetensors")
        Traceback (most recent call last):
        keepmap.errors.InputError: ...

        Raises:
            InputError: no such file, or not a profile.
        """
        try:
            return cls(**read(as_path("path", path)))
        except TypeError:  # parts that are missing, or that no profile has
            raise InputError(f"{path} is not an AttentionProfile of this version, or is damaged") from None

    def report(
        self,
        path: str | Path,
        *,
        evicted: KeepMap | HasKeepMap | None = None,
        redact_text: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML file that shows it all offline: docs/report.md says what. Another report there is replaced.

        >>> import keepmap, tempfile
        >>> profile = keepmap.profile_attention("tiny", "The code of river is 4821. " * 9)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     profile.report(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            evicted: a KeepMap of the same context, or the Eviction that made it: the page shows what goes to evicted
                entries.
            redact_text: whether each token of the text is replaced by its kind.
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            InputError: a KeepMap of another context.
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        return write_page(
            self, path, about={"evicted": self._maps(evicted)}, redact_text=redact_text, overwrite=overwrite
        )

    def __repr__(self) -> str:
        layers, heads, n = self.shape
        last = self.measured[-1]
        return escaped(
            f"AttentionProfile({model_label(self.info.get('model'))}: {counted(layers, 'layer')} x "
            f"{counted(heads, 'head')} x {counted(n, 'position')}, {self.scope}; "
            f"at query {int(last)}: entropy {float(self.entropy[..., last].mean()):.3g} nats "
            f"({float(self.normalised_entropy[..., last].mean()):.2f} of ln n), "
            f"effective positions {float(self.effective_positions[..., last].mean()):.3g}, "
            f"mass in {self.n_sink} sinks {float(self.sink_mass[..., last].mean()):.1%}, "
            f"in the last {self.window} {float(self.window_mass[..., last].mean()):.1%})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: `repr`, and of the last measured query a row per layer and pictures of layers x heads."""
        last = self.measured[-1]
        per_query = (self.entropy, self.normalised_entropy, self.effective_positions, self.sink_mass, self.window_mass)
        columns = [values[..., last].double().numpy() for values in per_query]
        head = (
            "layer",
            "entropy (nats)",
            "of ln n",
            "effective positions",
            "mass in sinks",
            f"in the last {self.window}",
        )
        rows = [
            (str(at), *(number(float(column[row].mean())) for column in columns)) for row, at in enumerate(self.layers)
        ]
        of = "a row per layer, a column per head"
        pictures = [
            strip(columns[1], f"entropy / ln n: {of}", square=True),
            strip(columns[3], f"mass in sinks: {of}", square=True),
        ]
        return framed(self, card(f"{self!r}; below, means over heads", head, rows, pictures))

    def _maps(self, evicted: KeepMap | HasKeepMap | None) -> dict[str, KeepMap]:
        """By label, the one map of this context."""
        if evicted is None:
            return {}
        keep_map = getattr(evicted, "keep_map", evicted)
        if not isinstance(keep_map, KeepMap):
            raise InputError(f"expected `evicted` to be a KeepMap or an Eviction, got {kind_of(evicted)}")
        self._require_fitting(keep_map, max(self.layers))
        return {str(keep_map.info.get("label", "KeepMap")): keep_map}

    def _index(self, what: str, index: int, known: tuple[int, ...]) -> int:
        if as_integer(what, index, None) not in known:
            has = ", ".join(map(str, known)) if len(known) < 9 else f"{known[0]}..{known[-1]}"
            raise InputError(f"expected `{what}` to be one that was profiled, {has}, got {index}")
        return known.index(index)

    def _captured(self, what: str) -> tuple[AttentionLayer, ...]:
        if self.captured is None:
            raise InputError(
                f"{what} needs the queries and keys, which this profile does not hold (a loaded one never does); "
                "profile the model again, with `hold`"
            )
        return self.captured

    def _positions(self, where: "Tensor | Iterable[object]") -> Int[Tensor, " S"]:
        n = self.shape[2]
        try:
            positions = torch.as_tensor(where if isinstance(where, Tensor) else list(where)).flatten().cpu()
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise InputError(f"expected `where` to be positions or a KeepMap, got {shown(where)}") from None
        if positions.dtype == torch.bool and len(positions) == n:
            return positions.nonzero()[:, 0]
        if len(positions) and (positions.is_floating_point() or positions.dtype == torch.bool):
            raise InputError(
                f"expected `where` to be positions, integers or a mask of {n}, got {positions.dtype} of "
                f"{len(positions)}"
            )
        positions = positions.long().unique()
        if len(positions) and not 0 <= int(positions[0]) <= int(positions[-1]) < n:
            raise InputError(
                f"expected `where` to be positions in 0..{n - 1}, got {int(positions[0])}..{int(positions[-1])}"
            )
        return positions

    def _kept(self, at: int, layer: AttentionLayer, keep_map: KeepMap) -> Float[Tensor, "H N"]:
        self._require_fitting(keep_map, self.layers[at])
        expires = keep_map.expires[self.layers[at]]
        own = expires if layer.n_kv_heads == keep_map.shape[1] else expires[torch.tensor(self.kv_heads)]
        return mass_kept(layer, own, self.measured)

    def _require_fitting(self, keep_map: KeepMap, layer: int) -> None:
        """Whether the map is of this context, up to this layer of the model."""
        layers, kv_heads, n = keep_map.shape
        if n != self.shape[2] or layer >= layers or max(self.kv_heads) >= kv_heads:
            raise InputError(
                f"a KeepMap of {counted(layers, 'layer')} x {counted(kv_heads, 'KV head')} x {counted(n, 'position')} "
                "does not fit a profile of layers "
                f"{self.layers[0]}..{self.layers[-1]}, KV heads {min(self.kv_heads)}..{max(self.kv_heads)} and "
                f"{self.shape[2]} positions; make it from the same text and model"
            )
