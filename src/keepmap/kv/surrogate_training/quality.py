"""How much of the scores' variance a surrogate explains, on texts that it did not see; and the paper's figures.

L layers · G KV heads · T held-out texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from keepmap.core.intervals import LEAST, mean_interval
from keepmap.kv.surrogate import KVzapSurrogate
from keepmap.kv.surrogate_training.targets import ScoredPositions

__all__ = ["PAPER", "HeldOutText", "explained_variance", "explained_with_interval", "judge_text"]

PAPER = {
    "linear": {"Qwen3-8B": 0.671, "Llama-3.1-8B-Instruct": 0.743, "Qwen3-32B": 0.629},
    "mlp": {"Qwen3-8B": 0.711, "Llama-3.1-8B-Instruct": 0.772, "Qwen3-32B": 0.668},
}
"""Explained variance of KVzip+ scores in arXiv 2601.07891, by kind and model."""


@dataclass(frozen=True, kw_only=True)
class HeldOutText:
    """One held-out text, as sums over its n positions, per layer and KV head.

    Attributes:
        error: of squared errors. y, yy: of the scores and of their squares.
    """

    n: int
    error: list[list[float]]
    y: list[list[float]]
    yy: list[list[float]]

    def document(self) -> dict[str, Any]:
        """The quality as JSON values, by name."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "HeldOutText":
        """The quality that `document` gave as JSON values."""
        return cls(**{name: document[name] for name in ("n", "error", "y", "yy")})


@torch.inference_mode()
def judge_text(surrogate: KVzapSurrogate, positions: ScoredPositions) -> HeldOutText:
    """What the surrogate gets wrong on one text."""
    y = positions.scores.double().cpu()
    error = y - surrogate(positions.inputs.float().cpu()).double()
    return HeldOutText(
        n=len(y), error=error.square().sum(dim=0).tolist(), y=y.sum(dim=0).tolist(), yy=y.square().sum(dim=0).tolist()
    )


def explained_variance(texts: Sequence[HeldOutText]) -> Float[np.ndarray, "L G"]:
    """1 - squared errors / squared deviations from the mean, over the positions of all texts; 1 is perfect.

    NaN where all scores are equal, so that there is nothing to explain: a layer whose window is shorter than the texts.

    >>> text = HeldOutText(n=2, error=[[0.5]], y=[[2.0]], yy=[[4.0]])
    >>> float(explained_variance([text])[0, 0])
    0.75
    """
    n = sum(text.n for text in texts)
    error, y, yy = (np.sum([getattr(text, name) for text in texts], axis=0) for name in ("error", "y", "yy"))
    spread = yy - y**2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-9 * yy, 1 - error / spread, np.nan)


def explained_with_interval(texts: Sequence[HeldOutText]) -> tuple[float, tuple[float, float] | tuple[None, None]]:
    """The mean over layers and KV heads, and its 95 % interval over T texts, by the jackknife; None below three."""
    count = len(texts)
    mean = float(np.nanmean(explained_variance(texts)))
    if count < LEAST:
        return mean, (None, None)
    without = [np.nanmean(explained_variance([*texts[:index], *texts[index + 1 :]])) for index in range(count)]
    return mean, mean_interval(count * mean - (count - 1) * np.asarray(without))
