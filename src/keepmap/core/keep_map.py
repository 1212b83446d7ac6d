"""The KeepMap: which positions of a context were kept, until when, and the scores that decided it."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.core.arguments import as_flag, as_integer, as_number, as_path
from keepmap.core.html import EVICTED_TO_KEPT, card, shares, strip
from keepmap.core.outside.reporting import Reported
from keepmap.core.storage.tensors import read_labelled, require_file, write_labelled
from keepmap.errors import ImpossibleResultError, InputError, counted, escaped, kind_of

__all__ = ["HasKeepMap", "KeepMap"]

FORMAT = "keepmap/1"
_FACTS = ("n_sink", "window", "threshold", "context_length")


@runtime_checkable
class HasKeepMap(Protocol):
    """What was made with a KeepMap and holds it, as an Eviction does."""

    @property
    def keep_map(self) -> "KeepMap":
        """Which entries were kept, and until when."""


@dataclass(frozen=True, eq=False)
class KeepMap(Reported):
    """What one method kept of one context: an expiry, a score and whether it is held per layer, KV head and position.

    `expires[l, g, j]` is the first query that no longer sees position j in layer l, KV head g; N when every query of
    the pass saw it: `visible(i, j) = j <= i < expires[l, g, j]`. Everything below follows from it, but for one thing:
    what was decided after the last query no query can show, so `held` says what the cache holds after the last step.

    A layer's own sliding window (Gemma, Mistral) is the model's rule, not a decision, and is not recorded here.

    Attributes:
        expires: int64 [L, G, N], each in j+1..N.
        scores: float32 [L, G, N], the score that decided each position; for positions never decided, its last value.
        held: bool [L, G, N], what the cache holds after the last step. Default: what never expired.
        n_sink: the first positions, protected.
        window: the last positions, protected.
        threshold: the threshold that decided, or None under the budget rule.
        context_length: where it was decided once, after so many positions: the window is the last of those, and all
            later positions are protected, too. None where it was decided as positions left the window.
        info: what made it: method, density or budget, mode, chunk size, seed, ... (JSON values).

    Raises:
        InputError: shapes that do not agree, or sizes that are none.
        ImpossibleResultError: a NaN score, an expiry outside j+1..N, or a position that expired and is held.

    >>> expires = torch.tensor([[[4, 2, 4, 4]]])  # one layer, one head; the second position is gone before query 2
    >>> keep_map = KeepMap(expires, torch.zeros(1, 1, 4), n_sink=1, window=2)
    >>> keep_map.density(), keep_map.compressible_density(), keep_map.kept()[0, 0].tolist()
    (0.75, 0.0, [True, False, True, True])
    """

    expires: Int[Tensor, "L G N"]
    scores: Float[Tensor, "L G N"]
    _: KW_ONLY
    held: Bool[Tensor, "L G N"] | None = None
    n_sink: int = 0
    window: int = 0
    threshold: float | None = None
    context_length: int | None = None
    info: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.expires, Tensor) or not isinstance(self.scores, Tensor):
            raise InputError(
                f"expected `expires` and `scores` to be tensors, got {kind_of(self.expires)} and {kind_of(self.scores)}"
            )
        if self.held is not None and not isinstance(self.held, Tensor):
            raise InputError(f"expected `held` to be a tensor, got {kind_of(self.held)}")
        _check_facts(self.n_sink, self.window, self.threshold, self.context_length, self.info)
        expires = self.expires.detach().to("cpu", torch.int64)
        scores = self.scores.detach().to("cpu", torch.float32)
        if expires.ndim != 3 or scores.shape != expires.shape:
            raise InputError(
                f"a KeepMap needs expires and scores of one shape [L, G, N], got {tuple(expires.shape)} and "
                f"{tuple(scores.shape)}"
            )
        n = expires.shape[2]
        held = expires >= n if self.held is None else self.held.detach().to("cpu", torch.bool)
        if held.shape != expires.shape:
            raise InputError(f"a KeepMap of shape {tuple(expires.shape)} got held of shape {tuple(held.shape)}")
        if torch.isnan(scores).any():
            raise ImpossibleResultError("a score is NaN: the model's weights or its inputs are damaged")
        if n and not bool(((expires > torch.arange(n)) & (expires <= n)).all()):
            raise ImpossibleResultError("an expiry lies outside j+1..N")
        if bool((held & (expires < n)).any()):
            raise ImpossibleResultError("a position expired and is held: eviction is final")
        for name, value in {"expires": expires, "scores": scores, "held": held, "info": dict(self.info)}.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(layers, KV heads, positions)."""
        layers, heads, n = self.expires.shape
        return layers, heads, n

    def kept(self, step: int | None = None) -> Bool[Tensor, "L G N"]:
        """What the cache holds after query `step` has been processed and decided on (the last one by default).

        >>> KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4)).kept(step=1)[0, 0].tolist()
        [True, False, False, False]

        Raises:
            InputError: a step that is not one of the N queries.
        """
        assert self.held is not None
        n = self.shape[2]
        last = n - 1
        self._check(step)
        if step is None or step == last:
            return self.held.clone()
        return (self.expires > step + 1) & (torch.arange(n) <= step)

    def protected(self, step: int | None = None) -> Bool[Tensor, " N"]:
        """Sinks and window after query `step` (the last one by default); positions after `step` are not.

        >>> expires = torch.tensor([[[6, 6, 4, 6, 6, 6]]])  # decided once, after four positions
        >>> once = KeepMap(expires, torch.zeros(1, 1, 6), n_sink=1, window=1, context_length=4)
        >>> once.protected().tolist(), once.compressible_density()
        ([True, False, False, True, True, True], 0.5)

        Raises:
            InputError: a step that is not one of the N queries.
        """
        n = self.shape[2]
        self._check(step)
        position = torch.arange(n)
        end = n if step is None else step + 1
        return ((position < self.n_sink) | (position >= self.window_end(end) - self.window)) & (position < end)

    def window_end(self, end: int) -> int:
        """Where the protected window ends once `end` positions have come: there, or before that at the one cut."""
        return end if self.context_length is None else min(end, self.context_length)

    def _check(self, step: int | None) -> None:
        last = self.shape[2] - 1
        if step is not None and not 0 <= as_integer("step", step, None) <= last:
            raise InputError(f"expected `step` to be in 0..{last}, the queries of the map, got {step}")

    def density(self, step: int | None = None) -> float:
        """kept / all, over (layer, KV head, position), after query `step` (the last one by default).

        >>> keep_map = KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4))
        >>> keep_map.density(), keep_map.density(step=1)
        (0.75, 0.5)
        """
        kept = self.kept(step)
        return _fraction(kept if step is None else kept[:, :, : step + 1])

    def compressible_density(self, step: int | None = None) -> float:
        """kept and not protected / not protected; 1.0 where nothing is compressible.

        >>> KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4), n_sink=1, window=1).compressible_density()
        0.5
        """
        self._check(step)
        end = self.shape[2] if step is None else step + 1
        compressible = ~self.protected(step)[:end]
        return _fraction(self.kept(step)[:, :, :end][:, :, compressible])

    def footprint(self) -> float:
        """Mean over queries i of the cache entries after i / the same without eviction: the memory held over time.

        >>> KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4)).footprint()  # 7 entries of 10
        0.7
        """
        layers, heads, n = self.shape
        if n == 0:
            return 1.0
        assert self.held is not None
        # Entry j is in the cache after the queries j .. expires-2, and after the last one too if it is held.
        after = (self.expires.clamp(max=n) - 1 - torch.arange(n)).sum() + (self.held & (self.expires >= n)).sum()
        return _checked(int(after) / (layers * heads * n * (n + 1) / 2))

    def overlap(self, other: "KeepMap | HasKeepMap", step: int | None = None, *, compressible: bool = False) -> float:
        """|kept by both| / |kept by either| after query `step` (the last one by default): 1.0 for equal choices.

        >>> expires, scores = torch.tensor([[[4, 4, 4, 4]]]), torch.zeros(1, 1, 4)
        >>> newest = KeepMap(expires, scores, held=torch.tensor([[[False, False, True, True]]]))
        >>> ends = KeepMap(expires, scores, held=torch.tensor([[[True, False, False, True]]]))
        >>> round(newest.overlap(ends), 3)
        0.333

        Args:
            other: another map of the same context, or the Eviction that made it.
            compressible: count only positions that neither map protects; what all methods keep says nothing of them.

        Raises:
            InputError: maps of different shapes.
        """
        kept, kept_by_other = self._both(other, step, compressible)
        either = int((kept | kept_by_other).sum())
        return _checked(int((kept & kept_by_other).sum()) / either) if either else 1.0

    def chance_overlap(
        self, other: "KeepMap | HasKeepMap", step: int | None = None, *, compressible: bool = False
    ) -> float:
        """The overlap that two choices of the same numbers per layer and head would have by chance.

        Of n positions, a and b of them kept independently and uniformly: a * b / n are expected to be kept by both.
        The expectation is taken of what both keep, over all heads, and the ratio of that.

        >>> half = KeepMap(torch.tensor([[[2, 3, 4, 4]]]), torch.zeros(1, 1, 4))
        >>> round(half.chance_overlap(half), 3)  # one of the two by chance, of three that either keeps
        0.333

        Raises:
            InputError: maps of different shapes.
        """
        kept, kept_by_other = self._both(other, step, compressible)
        n = kept.shape[2]
        counts, counts_of_other = kept.sum(2).double(), kept_by_other.sum(2).double()
        both = float((counts * counts_of_other / max(n, 1)).sum())
        either = float((counts + counts_of_other).sum()) - both
        return _checked(both / either) if either else 1.0

    def _both(
        self, other: "KeepMap | HasKeepMap", step: int | None, compressible: bool
    ) -> tuple[Bool[Tensor, "L G n"], Bool[Tensor, "L G n"]]:
        """What each of two maps keeps of the positions that there are after a step."""
        given, other = other, getattr(other, "keep_map", other)
        if not isinstance(other, KeepMap):
            raise InputError(f"expected `other` to be a KeepMap or an Eviction, got {kind_of(given)}")
        if self.shape != other.shape:
            raise InputError(f"expected `other` to be of the shape {self.shape}, got {other.shape}")
        self._check(step)
        end = self.shape[2] if step is None else step + 1
        counted = torch.arange(self.shape[2]) < end
        if as_flag("compressible", compressible):
            counted &= ~(self.protected(step) | other.protected(step))
        return self.kept(step)[:, :, counted], other.kept(step)[:, :, counted]

    def __eq__(self, other: object) -> bool:
        """Equal expiries, held entries, scores, protection, threshold and cut (`info` is provenance, and left out)."""
        if not isinstance(other, KeepMap):
            return NotImplemented
        assert self.held is not None and other.held is not None
        return (
            self.shape == other.shape
            and all(getattr(self, name) == getattr(other, name) for name in _FACTS)
            and torch.equal(self.expires, other.expires)
            and torch.equal(self.held, other.held)
            and torch.equal(self.scores, other.scores)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        layers, heads, n = self.shape
        return escaped(
            f"KeepMap({self.info.get('method', 'unnamed')}: {counted(layers, 'layer')} x {counted(heads, 'KV head')} x "
            f"{counted(n, 'position')}, sinks={self.n_sink}, window={self.window}, density {self.density():.2%}, "
            f"compressible {self.compressible_density():.2%}, footprint {self.footprint():.2%})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: `repr`, a row per layer, and what is kept of each layer as a picture."""
        kept, free = self.kept(), ~self.protected()
        rows = [
            (str(at), f"{_fraction(layer):.1%}", f"{_fraction(layer[:, free]):.1%}") for at, layer in enumerate(kept)
        ]
        label = "kept after the last step: a row per layer, positions from left to right"
        picture = strip(shares(kept.numpy()), label, EVICTED_TO_KEPT, ("evicted", "kept"))
        return card(repr(self), ("layer", "kept", "compressible kept"), rows, [picture])

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the map as one safetensors file, whole or not at all; another KeepMap at `path` is written over.

        >>> keep_map = KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4))
        >>> keep_map.save("keep_map.safetensors")
        >>> KeepMap.load("keep_map.safetensors") == keep_map
        True

        A folder that is not there is made.

        Args:
            overwrite: whether a file that is no KeepMap is written over, too.

        Raises:
            OutputError: the path cannot be written, or a file that is no KeepMap is there.
        """
        assert self.held is not None
        about = {name: getattr(self, name) for name in _FACTS} | {"info": dict(self.info)}
        tensors = {
            "expires": self.expires.to(torch.int32).contiguous(),
            "scores": self.scores.contiguous(),
            "held": self.held.to(torch.uint8).contiguous(),
        }
        write_labelled(as_path("path", path), FORMAT, about, tensors, kind="a KeepMap", overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "KeepMap":
        """Read a map that `save` wrote.

        >>> KeepMap.load("keep_map_that_is_not_there.safetensors")
        Traceback (most recent call last):
        keepmap.errors.InputError: no KeepMap at keep_map_that_is_not_there.safetensors: no such file

        Raises:
            InputError: no such file, or not a KeepMap.
        """
        path = as_path("path", path)
        require_file(path, "KeepMap")
        try:
            about, tensors = read_labelled(path, FORMAT)
            parts = {name: about[name] for name in ("n_sink", "window", "threshold", "info")}
            # Maps that were written before there was a mode with a cut do not say that they have none.
            parts["context_length"] = about.get("context_length")
            _check_facts(**parts)
            return cls(tensors["expires"], tensors["scores"], held=tensors["held"].bool(), **parts)
        except KeyError as error:
            raise InputError(f"{path} is not a KeepMap, or is damaged: it has no {error}") from None
        except (OSError, ValueError, ImpossibleResultError) as error:
            raise InputError(f"{path} is not a KeepMap, or is damaged: {error}") from None


def _check_facts(n_sink: object, window: object, threshold: object, context_length: object, info: object) -> None:
    as_integer("n_sink", n_sink)
    as_integer("window", window)
    if threshold is not None:
        as_number("threshold", threshold)
    if context_length is not None:
        as_integer("context_length", context_length, 1)
    if not isinstance(info, Mapping):
        raise InputError(f"expected `info` to be a mapping, got {kind_of(info)}")


def _fraction(kept: Tensor) -> float:
    return _checked(float(kept.double().mean())) if kept.numel() else 1.0


def _checked(density: float) -> float:
    if not 0.0 <= density <= 1.0:
        raise ImpossibleResultError(f"a density of {density} lies outside [0, 1]")
    return density
