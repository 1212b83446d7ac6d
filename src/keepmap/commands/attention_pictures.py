"""The figures of `keepmap attention`, in the document's folders under the document's names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes

from keepmap.attention.profile import AttentionProfile
from keepmap.core.files import read_json, remove_files
from keepmap.core.joining.plugins import joined
from keepmap.core.labels import model_label
from keepmap.drawing import (
    attention_grid,
    attention_heatmap,
    attention_lines,
    attention_pages,
    attention_summary,
    save_figure,
    save_joined_figures,
)

__all__ = ["Pictures"]

LAYERS = 8
"""How many layers a page of pictures has."""

GRIDS = ("entropy", "sink_mass", "effective_positions")
OURS = re.compile(
    r"(layer_\d+/attention_(heatmap|lines)_(sample|timestep)\d+_layer\d+"
    r"|layer_\d+/attention_summary_layer\d+|attention_grid_(sample|timestep)\d+_[a-z_]+"
    r"|attention_heads_(sample|timestep)\d+_layers\d+-\d+)\.(png|svg|pdf)"
)


@dataclass
class Pictures:
    """Draws and saves, and knows what it has written.

    Attributes:
        folder: where the figures go.
        model: the name that stands in the titles, of which only the last part is shown.
        written: paths in it, with slashes.
    """

    folder: Path
    formats: Sequence[str]
    cmap: str
    model: str
    written: list[str] = field(default_factory=list)

    def sample(self, stem: str, heading: str, profile: AttentionProfile, layer: int) -> None:
        """A layer in one sample: the heatmap of each head, and the lines."""
        title = f"{heading}, layer {layer} · {model_label(self.model)}"
        drawn = attention_heatmap(profile, layer=layer, cmap=self.cmap, title=f"Attention · {title}")
        self._save(drawn, f"layer_{layer}", f"attention_heatmap_{stem}_layer{layer}")
        drawn = attention_lines(profile, layer=layer, title=f"Attention patterns · {title}")
        self._save(drawn, f"layer_{layer}", f"attention_lines_{stem}_layer{layer}")

    def summary(self, layer: int, statistics: Sequence[Mapping[str, float]]) -> None:
        """A layer over all samples: the four histograms."""
        drawn = attention_summary(statistics, title=f"Attention statistics · layer {layer} · {model_label(self.model)}")
        self._save(drawn, f"layer_{layer}", f"attention_summary_layer{layer}")

    def grids(self, stem: str, heading: str, profile: AttentionProfile) -> None:
        """All layers and heads of one sample, by what tells heads apart."""
        for what in GRIDS:
            title = f"{heading} · {model_label(self.model)}"
            self._save(attention_grid(profile, what=what, title=title), "", f"attention_grid_{stem}_{what}")

    def pages(self, stem: str, heading: str, profile: AttentionProfile) -> None:
        """All heads of all layers of one sample, some layers to a page."""
        for first in range(0, len(profile.layers), LAYERS):
            layers = profile.layers[first : first + LAYERS]
            title = f"Attention · {heading}, layers {layers[0]} to {layers[-1]} · {model_label(self.model)}"
            drawn = attention_pages(profile, layers=layers, cmap=self.cmap, title=title)
            self._save(drawn, "", f"attention_heads_{stem}_layers{layers[0]}-{layers[-1]}")

    def joined(self, stem: str, profile: AttentionProfile) -> None:
        """A whole sample, as figures of plugins show it."""
        self._note(save_joined_figures(profile, self.folder, f"{{name}}_{stem}", self.formats))

    def remove_older(self, result: Path) -> None:
        """Remove the figures of the run that `result` tells of, where this one has not written them again.

        Raises:
            OutputError: one cannot be removed.
        """
        try:
            named = read_json(result)["figures"]
            older = [name for name in named if OURS.fullmatch(name) or _is_joined(name)]
        except (OSError, ValueError, KeyError, TypeError):
            return  # no earlier run, or none that says what it wrote: nothing of it is touched
        remove_files(self.folder / name for name in older if name not in self.written)

    def _save(self, drawn: Axes | tuple[Axes, ...], folder: str, stem: str) -> None:
        self._note(save_figure(drawn, self.folder / folder, stem, self.formats))

    def _note(self, paths: Sequence[Path]) -> None:
        self.written += [path.relative_to(self.folder).as_posix() for path in paths]


def _is_joined(name: str) -> bool:
    """Whether it is a file of a plugin's figure."""
    names = "|".join(map(re.escape, joined("figure"))) or r"(?!)"
    return re.fullmatch(rf"({names})_(sample|timestep)\d+\.(png|svg|pdf)", name) is not None
