"""AttentionProfiles to draw, of random queries and keys or of weights that are chosen."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text

from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer, causal
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention


@dataclasses.dataclass
class Source:
    """What an agent is to a profile; each layer may see `window` positions, or all of them, later ones too."""

    layers: int = 2
    heads: int = 4
    n: int = 50
    window: int | None = None
    everything: bool = False
    name: str = "source"

    def attention_layers(self, seed: int) -> Iterator[AttentionLayer]:
        generator = torch.Generator().manual_seed(seed)
        starts, ends = causal(self.n)
        if self.window is not None:
            starts = (ends - self.window).clamp(min=0)
        if self.everything:
            ends = torch.full_like(ends, self.n)
        for layer in range(self.layers):
            queries, keys = (torch.randn(self.heads, self.n, 8, generator=generator) for _ in range(2))
            yield AttentionLayer(
                layer=layer, queries=2 * queries, keys=keys, scaling=0.5, sees_from=starts, sees_until=ends
            )


@dataclasses.dataclass
class Chosen:
    """One head with these logits, [N, N], under a causal mask, and perhaps an eviction."""

    logits: torch.Tensor
    expires: torch.Tensor | None = None
    name: str = "chosen"

    def attention_layers(self, _: object) -> Iterator[AttentionLayer]:
        n = len(self.logits)
        zero = torch.zeros(1, n, 4)
        yield AttentionLayer(
            layer=0,
            queries=zero,
            keys=zero,
            scaling=1.0,
            sees_from=causal(n)[0],
            sees_until=causal(n)[1],
            expires=self.expires,
            bias=self.logits[None],
        )


def profile_of(seed: int = 0, queries: object = "all", labels: tuple[str, ...] | None = None, **source: object):
    profile = profile_attention(Source(**source), seed, queries=queries)  # type: ignore[arg-type]
    return profile if labels is None else dataclasses.replace(profile, labels=labels)


def marked(profile: AttentionProfile, length: int = 20, offset: int = 9) -> AttentionProfile:
    """The same as if its positions were transitions of episodes, the last three of each rewarded."""
    n = profile.shape[2]
    step = (np.arange(n) + offset) % length
    rewards = [float(at >= length - 3) for at in step[:-1]]
    landmarks = Landmarks(
        tuple(((np.arange(n) + offset) // length + 1).tolist()), tuple((step + 1).tolist()), (*rewards, None)
    )
    return dataclasses.replace(profile, landmarks=landmarks, labels=landmarks.labels)


def weights_of(profile: AttentionProfile, layer: int, head: int) -> np.ndarray:
    """The N x N weights, by the plain softmax."""
    assert profile.captured is not None
    captured = profile.captured[profile.layers.index(layer)]
    logits = (captured.queries[head] @ captured.keys[head].T * captured.scaling).double()
    columns = torch.arange(captured.n)
    seen = (columns >= captured.sees_from[:, None]) & (columns < captured.sees_until[:, None])
    return logits.masked_fill(~seen, float("-inf")).softmax(-1).numpy()


def words_of(ax: Axes) -> str:
    """Everything that is written in the axes and above them."""
    legend = ax.get_legend()
    texts = [child.get_text() for child in ax.get_children() if isinstance(child, Text)]
    return "\n".join([*texts, *([text.get_text() for text in legend.get_texts()] if legend else [])])


def on_the_figure(ax: Axes) -> None:
    """Everything around the Axes lies on their figure, and the title does."""
    canvas, around = ax.figure.bbox, ax.get_tightbbox()
    assert around is not None
    assert around.x0 >= canvas.x0 and around.y0 >= canvas.y0 and around.y1 <= canvas.y1
    right = [ax.bbox.x1, *(child.get_tightbbox().x1 for child in ax.child_axes)]  # type: ignore[union-attr]
    assert max(right) <= canvas.x1
