"""The pictures of a comparison: what each method kept of the first sample."""

from collections.abc import Sequence
from pathlib import Path

from keepmap import drawing
from keepmap.core.densities import entry_statistics, token_statistics
from keepmap.core.joining.plugins import joined
from keepmap.core.keep_map import KeepMap
from keepmap.errors import on_one_line
from keepmap.kv.comparison import Comparison, MethodPlan, label_stem

__all__ = ["REPORT", "draw_comparison", "draw_method", "picture_files", "write_page"]

REPORT = "report.html"
HEATMAP, LAYERS = "compression_heatmap", "keepmap_layers"


def picture_files(plans: Sequence[MethodPlan], formats: Sequence[str]) -> list[str]:
    """The names of the pictures of methods, in these formats."""
    figures = joined("figure")
    by_method = [f"{label_stem(plan.label)}_{figure}" for plan in plans for figure in (HEATMAP, LAYERS, *figures)]
    return [f"{stem}.{name}" for stem in (*by_method, *figures) for name in formats]


def draw_method(keep_map: KeepMap, label: str, output_dir: Path, formats: Sequence[str]) -> list[str]:
    """Draw both figures of what one method kept, and those of plugins. Returns the lines to print about them.

    Raises:
        OutputError: a picture cannot be written.
    """
    stem = label_stem(label)
    heatmaps = drawing.save_figure(drawing.compression_heatmap(keep_map), output_dir, f"{stem}_{HEATMAP}", formats)
    by_layer = drawing.save_figure(drawing.keep_map_by_layer(keep_map), output_dir, f"{stem}_{LAYERS}", formats)
    others = drawing.save_joined_figures(keep_map, output_dir, f"{stem}_{{name}}", formats)
    tokens, entries = token_statistics(keep_map).lines(), entry_statistics(keep_map).entry_lines()
    # Under a budget, layers and heads seldom agree on a token: what the majority of its entries does says little.
    by_budget = [*entries, "Tokens, each by the majority of its entries:", *tokens]
    statistics = by_budget if keep_map.threshold is None else [*tokens, *entries]
    # The block above counts otherwise, and two densities that disagree look like a fault.
    statistics.append("(of the first text, as drawn; those above are of all texts, in entries)")
    return [
        "",
        f"Generating compression visualization for {label}...",
        *(f"  Saved visualization to: {on_one_line(path)}" for path in heatmaps),
        *(f"    {line}" for line in statistics),
        *(f"  Saved layers and heads to: {on_one_line(path)}" for path in by_layer),
        *(f"  Saved figure to: {on_one_line(path)}" for path in others),
    ]


def draw_comparison(comparison: Comparison, output_dir: Path, formats: Sequence[str]) -> list[str]:
    """Draw the figures of plugins that show all methods. Returns the lines to print about them.

    Raises:
        OutputError: a picture cannot be written.
    """
    paths = drawing.save_joined_figures(comparison, output_dir, "{name}", formats)
    return [f"Saved figure to: {on_one_line(path)}" for path in paths]


def write_page(
    comparison: Comparison,
    output_dir: Path,
    command: tuple[str, ...],
    redact_text: bool,
    spans: Sequence[drawing.Span] | None = None,
) -> Path:
    """Write the page of a comparison beside its results, with the words that repeat it: the same bytes on every run.

    Raises:
        OutputError: it cannot be written.
    """
    run = drawing.ReportedRun.of_folder(comparison, output_dir, command)
    return drawing.write_report([run], output_dir / REPORT, redact_text=redact_text, spans=spans)
