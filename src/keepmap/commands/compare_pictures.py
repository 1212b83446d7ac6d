"""The pictures of a comparison: what each method kept of the first sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keepmap.core.densities import entry_statistics, token_statistics
from keepmap.core.files import remove_files
from keepmap.core.keep_map import KeepMap
from keepmap.drawing import compression_heatmap, keep_map_by_layer, save_figure
from keepmap.drawing.parts.files import FORMATS
from keepmap.kv.comparison.session import keep_map_path, label_stem
from keepmap.kv.method import methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["clear_pictures", "draw_method"]

HEATMAP, LAYERS = "compression_heatmap", "keepmap_layers"


def clear_pictures(output_dir: Path) -> None:
    """Remove the pictures of an earlier run, of every method and in every format: by their exact names, no others.

    Raises:
        OutputError: one cannot be removed.
    """
    remove_files(
        output_dir / f"{label_stem(method.label)}_{figure}.{name}"
        for method in methods().values()
        for figure in (HEATMAP, LAYERS)
        for name in FORMATS
    )


def draw_method(label: str, output_dir: Path, formats: Sequence[str]) -> list[str]:
    """Draw both figures of one method from its saved KeepMap. Returns the lines to print about them.

    Raises:
        OutputError: a picture cannot be written.
    """
    keep_map = KeepMap.load(keep_map_path(output_dir, label))
    stem = label_stem(label)
    heatmap, *_ = compression_heatmap(keep_map)
    heatmaps = save_figure(_figure(heatmap), output_dir, f"{stem}_{HEATMAP}", formats)
    layers, *_ = keep_map_by_layer(keep_map)
    by_layer = save_figure(_figure(layers), output_dir, f"{stem}_{LAYERS}", formats)
    return [
        "",
        f"Generating compression visualization for {label}...",
        *(f"  Saved visualization to: {path}" for path in heatmaps),
        *(f"    {line}" for line in token_statistics(keep_map).lines()),
        *(f"    {line}" for line in entry_statistics(keep_map).lines()),
        *(f"  Saved layers and heads to: {path}" for path in by_layer),
    ]


def _figure(axes: "Axes") -> "Figure":
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
