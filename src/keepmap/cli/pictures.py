"""The pictures of a comparison: what each method kept of the first sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keepmap.errors import InputError, did_you_mean
from keepmap.evaluation.compare import keep_map_path, label_stem
from keepmap.evaluation.statistics import entry_statistics, token_statistics
from keepmap.keepmap import KeepMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_method", "picture_formats"]


def picture_formats(formats: str) -> tuple[str, ...]:
    """The formats that a comma-separated list names.

    Raises:
        InputError: none, or one that no picture can be written in.
    """
    from keepmap.drawing.files import FORMATS

    names = tuple(dict.fromkeys(formats.replace(",", " ").split()))
    for name in names or ("",):
        if name not in FORMATS:
            raise InputError(f'--format "{formats}" was asked for, {did_you_mean(name, FORMATS)}')
    return names


def draw_method(label: str, output_dir: Path, formats: Sequence[str]) -> list[str]:
    """Draw both figures of one method from its saved KeepMap. Returns the lines to print about them.

    Raises:
        OutputError: a picture cannot be written.
    """
    from keepmap.drawing import compression_heatmap, keep_map_by_layer, save_figure

    keep_map = KeepMap.load(keep_map_path(output_dir, label))
    stem = label_stem(label)
    heatmap, *_ = compression_heatmap(keep_map)
    heatmaps = save_figure(_figure(heatmap), output_dir, f"{stem}_compression_heatmap", formats)
    layers, *_ = keep_map_by_layer(keep_map)
    by_layer = save_figure(_figure(layers), output_dir, f"{stem}_keepmap_layers", formats)
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
