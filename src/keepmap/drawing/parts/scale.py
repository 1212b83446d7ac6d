"""The top of a scale of colours that one layer alone does not decide."""

import numpy as np
from jaxtyping import Float

__all__ = ["robust_top"]

APART = 1.5
"""A layer stands alone where its largest value is more than so many times that of any other."""


def robust_top(values: Float[np.ndarray, "L H"]) -> tuple[float, bool]:
    """The largest value (1 where none is above 0), or of the other layers where one of three or more stands alone.

    Returns:
        The value, and whether some are above it.

    >>> robust_top(np.array([[1.0], [9.0], [2.0]]))
    (2.0, True)
    """
    tops = np.sort(np.where(np.isfinite(values), values, 0.0).max(axis=1, initial=0.0))
    alone = len(tops) > 2 and tops[-1] > APART * tops[-2] > 0
    return float(tops[-2] if alone else tops[-1]) or 1.0, bool(alone)
