"""Pictures of KeepMaps, of attention and of results; `keepmap.draw` offers them.

One figure per file; each function draws into a new Figure or into given Axes, and returns the Axes. Nothing here loads
a model or touches pyplot and the user's rcParams. What commands need beside the figures is not in `__all__`.
"""

from keepmap.drawing.answers_by_memory import answers_by_memory
from keepmap.drawing.attention_grid import attention_grid
from keepmap.drawing.attention_heatmap import attention_heatmap
from keepmap.drawing.attention_heatmap import check_colours as check_colours
from keepmap.drawing.attention_lines import attention_lines
from keepmap.drawing.attention_pages import attention_pages
from keepmap.drawing.attention_summary import attention_summary
from keepmap.drawing.cache_bytes import cache_bytes
from keepmap.drawing.compression_heatmap import compression_heatmap
from keepmap.drawing.compressor_study import compressor_study
from keepmap.drawing.cost_by_footprint import cost_by_footprint
from keepmap.drawing.evidence_kept import evidence_kept
from keepmap.drawing.keep_map_by_layer import keep_map_by_layer
from keepmap.drawing.keep_map_lifetimes import keep_map_lifetimes
from keepmap.drawing.kept_transitions import kept_transitions
from keepmap.drawing.learning_curve import learning_curve
from keepmap.drawing.page import Reportable as Reportable
from keepmap.drawing.page import ReportedRun as ReportedRun
from keepmap.drawing.page import Span as Span
from keepmap.drawing.page import read_spans as read_spans
from keepmap.drawing.page import require_free_report as require_free_report
from keepmap.drawing.page import write_report as write_report
from keepmap.drawing.parts.figure import joined_figures as joined_figures
from keepmap.drawing.parts.figure import save_joined_figures as save_joined_figures
from keepmap.drawing.parts.files import FORMATS as FORMATS
from keepmap.drawing.parts.files import picture_formats as picture_formats
from keepmap.drawing.parts.files import save_figure
from keepmap.drawing.trajectory import trajectory
from keepmap.drawing.transfer_matrix import transfer_matrix

__all__ = [
    "answers_by_memory",
    "attention_grid",
    "attention_heatmap",
    "attention_lines",
    "attention_pages",
    "attention_summary",
    "cache_bytes",
    "compression_heatmap",
    "compressor_study",
    "cost_by_footprint",
    "evidence_kept",
    "keep_map_by_layer",
    "keep_map_lifetimes",
    "kept_transitions",
    "learning_curve",
    "save_figure",
    "trajectory",
    "transfer_matrix",
]
