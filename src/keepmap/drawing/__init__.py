"""Pictures of KeepMaps. `keepmap.draw` is this package.

One figure per file; each function draws into a new Figure or into given Axes, and returns the Axes. Nothing here loads
a model or touches pyplot and the user's rcParams.
"""

from keepmap.drawing.files import save_figure
from keepmap.drawing.heatmap import compression_heatmap
from keepmap.drawing.kept_transitions import kept_transitions
from keepmap.drawing.layers import keep_map_by_layer
from keepmap.drawing.learning_curve import learning_curve
from keepmap.drawing.lifetimes import keep_map_lifetimes
from keepmap.drawing.study import compressor_study

__all__ = [
    "compression_heatmap",
    "compressor_study",
    "keep_map_by_layer",
    "keep_map_lifetimes",
    "kept_transitions",
    "learning_curve",
    "save_figure",
]
