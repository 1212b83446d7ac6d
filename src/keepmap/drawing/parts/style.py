"""The project's colours, in one place, and the settings that every figure is made and saved with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from jaxtyping import UInt8
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.ticker import LogFormatter

__all__ = [
    "COMPRESSIBLE",
    "CUT_LINE",
    "DPI",
    "EVICTED",
    "KEPT",
    "PROTECTED",
    "SINK_LINE",
    "WINDOW_LINE",
    "curve_style",
    "figure_style",
    "marked_style",
    "number_decades",
    "ramp",
]

# Okabe-Ito's bluish green (#009E73) made lighter and its vermillion (#D55E00) made darker and redder: as they are, they
# have nearly the same lightness and merge in greyscale.
KEPT = "#4BD5A7"
EVICTED = "#C23B0A"
PROTECTED = "#0072B2"
COMPRESSIBLE = "#FFFFFF"
SINK_LINE = "#0072B2"
WINDOW_LINE = "#E69F00"
CUT_LINE = "#555555"

# Okabe-Ito without its yellow, which a thin line on white loses. No two neighbours share a lightness.
_CURVES = ("#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)))

_MARKERS: tuple[str | tuple[int, int, int], ...] = (
    *"os^DvPX*<>phd8H",
    # Stars of so many points, a pentagon on its tip, and a heptagon.
    *((4, 1, 0), (4, 1, 45), (6, 1, 0), (8, 1, 0), (5, 0, 180)),
    *((3, 1, 0), (3, 1, 180), (3, 1, 90), (3, 1, 270), (5, 1, 180), (7, 0, 0)),
)

DPI = 200
"""Pixels per inch of the figures that the project makes, and of the rasters inside SVG and PDF."""

_SETTINGS: Mapping[str, object] = {
    "figure.dpi": DPI,
    "savefig.dpi": "figure",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.6,
    "legend.fontsize": 9,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "keepmap",
    "text.parse_math": False,  # names and tokens are data: a $ in them is a $
}


@contextmanager
def figure_style() -> Iterator[None]:
    """matplotlib's defaults and the project's settings, for the time of a `with`; the user's rcParams come back after.

    What the user has set does not reach the figure, so that the same map gives the same bytes everywhere.
    """
    with matplotlib.style.context(["default", dict(_SETTINGS)]):
        yield


def number_decades(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as numbers: matplotlib's own are mathtext, which figures do without."""
    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter())


def curve_style(number: int) -> dict[str, Any]:
    """Colour and dashes of a figure's curve: 28 that differ, the first four in both, for readers who see no colour."""
    return {"color": _CURVES[number % len(_CURVES)], "linestyle": _DASHES[number % len(_DASHES)]}


def marked_style(number: int) -> dict[str, Any]:
    """`curve_style` with a marker for each measured point: the first 26 markers differ."""
    marker = _MARKERS[number % len(_MARKERS)]
    return {**curve_style(number), "marker": marker, "markersize": 4.5, "linewidth": 1.0, "markeredgewidth": 0.0}


def ramp(low: str, high: str) -> UInt8[np.ndarray, "256 3"]:
    """256 colours from `low` to `high`.

    Between light (exponent 2.2: half looks like `high`) and stored values (1: half looks like `low`), an exponent of
    1.5 makes the lightness grow in even steps.
    """
    share = np.linspace(0.0, 1.0, 256)[:, None]
    mixed = (1 - share) * np.array(to_rgb(low)) ** 1.5 + share * np.array(to_rgb(high)) ** 1.5
    return np.round(mixed ** (1 / 1.5) * 255).astype(np.uint8)
