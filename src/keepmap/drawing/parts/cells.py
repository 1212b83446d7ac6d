"""Positions gathered into cells when there are more of them than pixels: nothing is sampled, so nothing vanishes.

R rows, N positions, C columns of cells.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from keepmap.drawing.parts.style import ramp

__all__ = ["Cells", "gather", "paint"]


@dataclass(frozen=True)
class Cells:
    """What is true in each cell: the mean share of its positions, and the largest.

    Attributes:
        share: float64 [R, C] in [0, 1]; what a position has where a cell is one.
        most: float64 [R, C] in [0, 1]; of a mask, whether any position of the cell is true.
    """

    share: Float[np.ndarray, "R C"]
    most: Float[np.ndarray, "R C"]


def gather(shares: Bool[np.ndarray, "R N"] | Float[np.ndarray, "R N"], columns: int) -> Cells:
    """Cut N positions, each true or not or in a share, into min(columns, N) cells whose sizes differ by at most one."""
    n = shares.shape[1]
    columns = min(columns, n)
    assert columns > 0, "there is nothing to draw"
    edges = np.arange(columns + 1) * n // columns
    total = np.add.reduceat(shares, edges[:-1], axis=1, dtype=np.float64)
    most = np.maximum.reduceat(shares, edges[:-1], axis=1)
    return Cells(share=total / np.diff(edges), most=most.astype(np.float64))


def paint(cells: Cells, low: str, high: str, height: int, tick: int) -> UInt8[np.ndarray, "R height C 3"]:
    """Each row of cells as `height` rows of pixels: the share as a shade, and the largest as a tick on the last `tick`.

    Of a mask, a tick has the full colour of `high`, so that one position among thousands is seen; where a cell is one
    position the two are the same.
    """
    colours = ramp(low, high)
    shade, ticks = (colours[np.round(shares * 255).astype(np.int64)] for shares in (cells.share, cells.most))
    picture = np.repeat(shade[:, None], height, axis=1)
    picture[:, height - tick :] = ticks[:, None]
    return picture
