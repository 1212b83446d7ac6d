"""What other runs of a page kept of the text that a profile is of: its attention shows what they lost."""

from collections.abc import Mapping, Sequence

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.content import ReportedRun
from keepmap.drawing.page.values.kinds import Reportable, kind_of_value

__all__ = ["kept_elsewhere"]


def kept_elsewhere(run: ReportedRun, runs: Sequence[ReportedRun]) -> Mapping[str, KeepMap]:
    """By label, what methods kept of the text of a profile, in comparisons among the runs; of no other value."""
    if kind_of_value(run.value) != "attention" or run.value.labels is None:
        return {}
    return {
        row.method: comparison.keep_maps[row.method_key]
        for comparison in (other.value for other in runs)
        if kind_of_value(comparison) == "comparison" and _same(run.value.labels, _pieces(comparison))
        for row in comparison.methods
        if row.method_key in comparison.keep_maps
    }


def _pieces(comparison: Reportable) -> tuple[str, ...]:
    costs = comparison.token_costs.get("baseline_no_chunking")
    return () if costs is None else costs.pieces


def _same(labels: Sequence[str], pieces: Sequence[str]) -> bool:
    """Whether both are one text: a profile writes parts of letters, and the space before a word, in another way."""
    return len(labels) == len(pieces) and all(
        "\ufffd" in label or label.strip() == piece.strip() for label, piece in zip(labels, pieces, strict=True)
    )
