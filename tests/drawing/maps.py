"""KeepMaps to draw, chosen by the project's own rules, and figures read back as pixels."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from keepmap.core.keep_map import KeepMap
from keepmap.kv.choosing import Budget, Protection, Rule, Threshold, choose

PROTECTION = Protection(n_sink=4, window=128)


def random_scores(layers: int, heads: int, n: int, seed: int = 0) -> Float[Tensor, "L G N"]:
    return torch.rand(layers, heads, n, generator=torch.Generator().manual_seed(seed))


def map_of(
    scores: Float[Tensor, "L G N"],
    rule: Rule,
    protection: Protection = PROTECTION,
    info: Mapping[str, object] = MappingProxyType({}),
) -> KeepMap:
    choices = [choose(layer, rule, protection) for layer in scores]
    return KeepMap(
        torch.stack([choice.expires for choice in choices]),
        scores,
        held=torch.stack([choice.held for choice in choices]),
        n_sink=protection.n_sink,
        window=protection.window,
        threshold=rule.threshold if isinstance(rule, Threshold) else None,
        info=info,
    )


def streaming(n: int = 1200) -> KeepMap:
    """Sinks and window only."""
    return map_of(torch.zeros(2, 2, n), Threshold(0.5), info={"label": "StreamingLLM", "model": "tiny"})


def random_choice(n: int = 1200) -> KeepMap:
    """About 15 % of the tokens, the same in every layer and head."""
    return map_of(random_scores(1, 1, n).repeat(2, 2, 1), Threshold(0.85), info={"label": "Random", "model": "tiny"})


def budgeted(n: int = 1200) -> KeepMap:
    """20 % of the entries, others in every layer and head."""
    info = {"label": "KeyNorm", "density": 0.2, "rule": "budget"}
    return map_of(random_scores(2, 3, n, seed=1), Budget(density=0.2), info=info)


def lone_tokens(n: int = 1200) -> KeepMap:
    """Single tokens, some at the very ends, with nothing protected."""
    scores = torch.zeros(1, 1, n)
    scores[0, 0, [0, 1, 500, 777, 1022, 1023, n - 1]] = 1.0
    return map_of(scores, Threshold(0.5), Protection(0, 0), info={"label": "lone"})


def cut_once(n: int = 1200, context_length: int = 900) -> KeepMap:
    """A quarter of a context, and all that comes after it."""
    part = map_of(random_scores(2, 3, context_length), Budget(density=0.25))
    assert part.held is not None
    held = torch.nn.functional.pad(part.held, (0, n - context_length), value=True)
    scores = torch.nn.functional.pad(part.scores, (0, n - context_length))
    expires = torch.where(held, n, context_length)
    info = {"label": "KeyNorm", "density": 0.25}
    return KeepMap(expires, scores, held=held, n_sink=4, window=128, context_length=context_length, info=info)


def pixels_of(figure: Figure) -> UInt8[np.ndarray, "H W 3"]:
    """What Agg draws, first row on top."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def panel_of(ax: Axes) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of one of the axes alone."""
    picture = pixels_of(ax.figure)  # type: ignore[arg-type]
    box = ax.bbox
    top = round(picture.shape[0] - box.y1)
    return picture[top : top + round(box.height), round(box.x0) : round(box.x1)]


def rgb(colour: str) -> UInt8[np.ndarray, " 3"]:
    return np.round(np.array(to_rgb(colour)) * 255).astype(np.uint8)


def is_colour(picture: UInt8[np.ndarray, "h w 3"], colour: str) -> np.ndarray:
    return (picture == rgb(colour)).all(axis=-1)
