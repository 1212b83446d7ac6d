"""Counting what a KeepMap kept of the first tokens of a text: in tokens, and in cache entries."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from keepmap.core.arguments import as_integer
from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError, InputError

__all__ = ["KeptCounts", "TokenStatistics", "entry_statistics", "token_statistics"]

SHOWN_TOKENS = 1024
"""How many of a text's first tokens the pictures and their statistics show."""


@dataclass(frozen=True)
class KeptCounts:
    """How many there are, how many of them are kept; and the same for the ones that are not protected.

    >>> half = KeptCounts(n=8, n_kept=4, n_compressible=6, n_compressible_kept=2)
    >>> half.density(), (half + half).n_kept
    (0.5, 8)

    Raises:
        ImpossibleResultError: more is kept than there is, or the parts do not agree.
    """

    n: int
    n_kept: int
    n_compressible: int
    n_compressible_kept: int

    def __post_init__(self) -> None:
        if not (0 <= self.n_compressible_kept <= self.n_compressible and self.n_kept <= self.n):
            raise ImpossibleResultError(f"more was kept than there is: {self}")
        if not self.n_compressible_kept <= self.n_kept <= self.n - self.n_compressible + self.n_compressible_kept:
            raise ImpossibleResultError(f"the parts of a count do not agree: {self}")

    def __add__(self, other: "KeptCounts") -> "KeptCounts":
        return KeptCounts(
            self.n + other.n,
            self.n_kept + other.n_kept,
            self.n_compressible + other.n_compressible,
            self.n_compressible_kept + other.n_compressible_kept,
        )

    def density(self) -> float:
        """kept / all; 1.0 where there is nothing to keep."""
        return self.n_kept / self.n if self.n else 1.0

    def compressible_density(self) -> float:
        """kept and not protected / not protected; 1.0 where nothing is compressible."""
        return self.n_compressible_kept / self.n_compressible if self.n_compressible else 1.0

    def entry_lines(self) -> list[str]:
        """The counts, where they are of cache entries, in the manner of `TokenStatistics.lines`."""
        return [
            f"Entries (layer x KV head x token): {_share(self.n_kept, self.n)}",
            f"Compressible entries: {_share(self.n_compressible_kept, self.n_compressible)}",
        ]


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenStatistics:
    """How many of the first `n_tokens` tokens the cache holds, once those tokens are processed.

    Attributes:
        n_tokens: tokens counted. n_kept: of those, kept.
        n_protected: sinks and window together, which may overlap. n_sink, window: their sizes within the tokens.
        n_after: tokens after a context that was cut once, which are protected, too; the window ends before them.
        n_compressible, n_compressible_kept: the tokens that are not protected, and those of them that are kept.
        kept, protected: bool [n_tokens].
        share: float64 [n_tokens], of the entries of each token that are kept, in [0, 1].
    """

    n_tokens: int
    n_kept: int
    n_protected: int
    n_sink: int
    window: int
    n_compressible: int
    n_compressible_kept: int
    kept: Bool[Tensor, " n_tokens"]
    protected: Bool[Tensor, " n_tokens"]
    share: Float[Tensor, " n_tokens"]
    n_after: int = 0

    @property
    def counts(self) -> KeptCounts:
        """The four numbers that entries have too."""
        return KeptCounts(self.n_tokens, self.n_kept, self.n_compressible, self.n_compressible_kept)

    def lines(self) -> list[str]:
        """The four lines that stand below a picture."""
        return [
            f"Tokens visualized: {self.n_tokens}",
            f"Overall density: {_share(self.n_kept, self.n_tokens)}",
            f"Protected tokens: {self.n_protected} (sinks={self.n_sink}, window={self.window}"
            f"{f', after the context={self.n_after}' * (self.n_after > 0)})",
            f"Compressible region density: {_share(self.n_compressible_kept, self.n_compressible)}",
        ]


def token_statistics(keep_map: KeepMap, n_tokens: int = SHOWN_TOKENS) -> TokenStatistics:
    """Count tokens after the first `n_tokens` queries (all of a shorter text).

    A token on which layers and heads disagree is kept under the threshold rule when its score, averaged over layers
    and heads, reaches the threshold; under the budget rule when at least half of its entries are kept. Protected
    tokens are always kept.

    Raises:
        InputError: fewer than one token, or an empty map.
    """
    n = _shown(keep_map, n_tokens)
    protected = keep_map.protected(n - 1)[:n]
    share = keep_map.kept(n - 1)[:, :, :n].double().mean((0, 1))
    if keep_map.threshold is None:
        chosen = share >= 0.5
    else:
        # Agreement decides first: scores were compared in float32 entry by entry, their mean is not, and a token
        # that is still waiting for the end of its chunk is kept whatever its score.
        mean = keep_map.scores[:, :, :n].double().mean((0, 1))
        chosen = (share == 1) | ((share > 0) & (mean >= keep_map.threshold))
    kept = chosen | protected
    return TokenStatistics(
        n_tokens=n,
        n_kept=int(kept.sum()),
        n_protected=int(protected.sum()),
        n_sink=min(keep_map.n_sink, n),
        window=min(keep_map.window, n),
        n_compressible=int((~protected).sum()),
        n_compressible_kept=int((kept & ~protected).sum()),
        kept=kept,
        protected=protected,
        share=share,
        n_after=n - keep_map.window_end(n),
    )


def entry_statistics(keep_map: KeepMap, n_tokens: int = SHOWN_TOKENS) -> KeptCounts:
    """Count cache entries after the first `n_tokens` queries (all of a shorter text).

    Raises:
        InputError: fewer than one token, or an empty map.
    """
    n = _shown(keep_map, n_tokens)
    kept = keep_map.kept(n - 1)[:, :, :n]
    compressible = kept[:, :, ~keep_map.protected(n - 1)[:n]]
    return KeptCounts(kept.numel(), int(kept.sum()), compressible.numel(), int(compressible.sum()))


def _shown(keep_map: KeepMap, n_tokens: int) -> int:
    n = min(as_integer("n_tokens", n_tokens, None), keep_map.shape[2])
    if n < 1:
        raise InputError(
            f"expected statistics of one token or more, got `n_tokens` of {n_tokens} and a map of {keep_map.shape[2]}"
        )
    return n


def _share(kept: int, total: int) -> str:
    return f"{100 * kept / total if total else 100:.2f}% ({kept}/{total} kept)"
