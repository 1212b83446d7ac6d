"""The figures of `keepmap attention`, in the document's folders under the document's names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from keepmap import draw
from keepmap.attention import AttentionProfile
from keepmap.core.joining.plugins import joined
from keepmap.core.labels import model_label
from keepmap.core.runs.records import sync
from keepmap.drawing import joined_figures, save_figure, save_joined_figures

__all__ = ["FEW", "Pictures", "picture_files"]

FEW = 4
"""Layers up to which each has lines and pictures of its own; of more, a summary comes first."""

LAYERS = 8
"""How many layers a page of pictures has."""

GRIDS = ("entropy", "sink_mass", "effective_positions")


def picture_files(stems: Sequence[str], layers: Sequence[int], grids: bool, formats: Sequence[str]) -> list[str]:
    """The paths of all figures of these samples and layers, figures of plugins among them.

    Args:
        grids: whether each sample has them.
    """
    names = [stem for at, sample in enumerate(stems) for stem in _of_sample(sample, layers, grids, first=at == 0)]
    if len(layers) <= FEW:
        names += [f"layer_{layer}/attention_summary_layer{layer}" for layer in layers]
    names += [f"{name}_{stem}" for stem in stems for name in joined("figure")]
    return [f"{stem}.{name}" for stem in names for name in formats]


def _of_sample(stem: str, layers: Sequence[int], grids: bool, first: bool) -> list[str]:
    if len(layers) <= FEW:
        kinds = ("heatmap", "lines")
        names = [f"layer_{layer}/attention_{kind}_{stem}_layer{layer}" for layer in layers for kind in kinds]
    else:
        names = [_page(stem, page) for page in _pages(layers)] if first else []
    return [*names, *(f"attention_grid_{stem}_{what}" for what in GRIDS if grids)]


def _pages(layers: Sequence[int]) -> list[Sequence[int]]:
    return [layers[first : first + LAYERS] for first in range(0, len(layers), LAYERS)]


def _page(stem: str, layers: Sequence[int]) -> str:
    return f"attention_heads_{stem}_layers{layers[0]}-{layers[-1]}"


@dataclass(kw_only=True)
class Pictures:
    """Draws and saves, and knows what it has written.

    Attributes:
        folder: where the figures go.
        model: the name that stands in the titles, of which only the last part is shown.
        kept: whether a picture of an earlier start of the same run is not drawn again.
        written: paths in it, with slashes.
    """

    folder: Path
    formats: Sequence[str]
    cmap: str
    model: str
    kept: bool = False
    written: list[str] = field(default_factory=list)

    def sample(self, stem: str, heading: str, profile: AttentionProfile, layer: int) -> None:
        """A layer in one sample: the heatmap of each head, and the lines."""
        title = f"{heading}, layer {layer} · {model_label(self.model)}"
        self._save(
            lambda: draw.attention_heatmap(profile, layer=layer, cmap=self.cmap, title=f"Attention · {title}"),
            f"layer_{layer}/attention_heatmap_{stem}_layer{layer}",
        )
        self._save(
            lambda: draw.attention_lines(profile, layer=layer, title=f"Attention patterns · {title}"),
            f"layer_{layer}/attention_lines_{stem}_layer{layer}",
        )

    def summary(self, layer: int, statistics: Sequence[Mapping[str, float]], *, independent: bool) -> None:
        """A layer over all samples: its four statistics, with intervals where the samples are independent."""
        title = f"Attention statistics · layer {layer} · {model_label(self.model)}"
        self._save(
            lambda: draw.attention_summary(statistics, title=title, intervals=independent),
            f"layer_{layer}/attention_summary_layer{layer}",
        )

    def grids(self, stem: str, heading: str, profile: AttentionProfile) -> None:
        """All layers and heads of one sample, by what tells heads apart."""
        title = f"{heading} · {model_label(self.model)}"
        for what in GRIDS:
            self._save(partial(draw.attention_grid, profile, what=what, title=title), f"attention_grid_{stem}_{what}")

    def pages(self, stem: str, heading: str, profile: AttentionProfile) -> None:
        """All heads of all layers of one sample, some layers to a page."""
        for layers in _pages(profile.layers):
            title = f"Attention · {heading}, layers {layers[0]} to {layers[-1]} · {model_label(self.model)}"
            drawn = partial(draw.attention_pages, profile, layers=layers, cmap=self.cmap, title=title)
            self._save(drawn, _page(stem, layers))

    def joined(self, stem: str, profile: AttentionProfile) -> None:
        """A whole sample, as figures of plugins show it."""
        names = self._paths(f"{name}_{stem}" for name in joined_figures(profile))
        if self._are_there(names):
            self.written += names
        else:
            self._note(save_joined_figures(profile, self.folder, f"{{name}}_{stem}", self.formats))

    def has_all_of(self, stem: str, profile: AttentionProfile, grids: bool, first: bool) -> bool:
        """Whether no picture of this sample is going to be drawn: its profile needs no queries and keys."""
        names = [
            *_of_sample(stem, profile.layers, grids, first),
            *(f"{name}_{stem}" for name in joined_figures(profile)),
        ]
        return self._are_there(self._paths(names))

    def _save(self, draw: Callable[[], Axes | tuple[Axes, ...]], stem: str) -> None:
        names = self._paths([stem])
        if self._are_there(names):
            self.written += names
            return
        path = self.folder / stem
        self._note(save_figure(draw(), path.parent, path.name, self.formats))

    def _paths(self, stems: Iterable[str]) -> list[str]:
        return [f"{stem}.{name}" for stem in stems for name in self.formats]

    def _are_there(self, names: Sequence[str]) -> bool:
        return self.kept and all((self.folder / name).is_file() for name in names)

    def _note(self, paths: Sequence[Path]) -> None:
        for path in paths:
            # A later start takes what is there for whole.
            with suppress(OSError):
                sync(path)
        self.written += [path.relative_to(self.folder).as_posix() for path in paths]
