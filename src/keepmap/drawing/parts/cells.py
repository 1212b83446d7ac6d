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
    """What is true in each cell: the share of its positions, and whether any is.

    Attributes:
        share: float64 [R, C] in [0, 1]; 0 or 1 where a cell is one position.
        any: bool [R, C].
    """

    share: Float[np.ndarray, "R C"]
    any: Bool[np.ndarray, "R C"]


def gather(mask: Bool[np.ndarray, "R N"], columns: int) -> Cells:
    """Cut N positions into min(columns, N) cells whose sizes differ by at most one."""
    n = mask.shape[1]
    columns = min(columns, n)
    assert columns > 0, "there is nothing to draw"
    edges = np.arange(columns + 1) * n // columns
    count = np.add.reduceat(mask, edges[:-1], axis=1, dtype=np.int64)
    return Cells(share=count / np.diff(edges), any=count > 0)


def paint(cells: Cells, low: str, high: str, height: int, tick: int) -> UInt8[np.ndarray, "R height C 3"]:
    """Each row of cells as `height` rows of pixels: the share as a shade, and "any" as a tick on the last `tick`.

    The tick has the full colour of `high`, so that one position among thousands is seen; where a cell is one position
    the two are the same.
    """
    colours = ramp(low, high)
    shade = colours[np.round(cells.share * 255).astype(np.int64)]
    ticks = colours[np.where(cells.any, 255, 0)]
    picture = np.repeat(shade[:, None], height, axis=1)
    picture[:, height - tick :] = ticks[:, None]
    return picture
