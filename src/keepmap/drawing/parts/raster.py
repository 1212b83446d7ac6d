"""A picture that is painted again for the pixels at hand, so that matplotlib never has to leave any out."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

__all__ = ["Painter", "Raster", "pixels"]

Painter: TypeAlias = Callable[[int, int], UInt8[np.ndarray, "h w channels"]]
"""(width, height) in pixels -> an RGB or RGBA picture of at most that many columns and rows, the first row on top."""


class Raster(AxesImage):
    """What `paint` makes for the size of the axes, painted anew whenever that has changed: a layout, another dpi.

    matplotlib shows an image that has more columns than pixels by skipping columns, and a lone kept token with them.
    """

    def __init__(self, ax: Axes, paint: Painter, extent: tuple[float, float, float, float]) -> None:
        super().__init__(ax, interpolation="nearest", origin="upper", extent=extent)
        self._paint = paint
        self._size = (0, 0)
        self._fit(1.0)
        self.set_clip_path(ax.patch)
        ax.spines[:].set_visible(False)  # they would lie on the first and the last position
        ax.add_image(self)

    def draw(self, renderer: Any) -> None:
        """Paint for the renderer's pixels, then draw as any image does (SVG's renderer is of no common class)."""
        self._fit(renderer.get_image_magnification())  # PDF and SVG count in points; their images have more pixels
        super().draw(renderer)

    def _fit(self, magnification: float) -> None:
        assert self.axes is not None
        size = pixels(self.axes.bbox.width * magnification), pixels(self.axes.bbox.height * magnification)
        if size != self._size:
            self.set_data(self._paint(*size))
            self._size = size


def pixels(length: float) -> int:
    """Whole pixels in a length, at least one; a hair's breadth less than a whole number is that number."""
    return max(1, int(length + 1e-3))
