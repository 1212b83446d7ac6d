"""A scale of colours that one layer alone does not flatten."""

import numpy as np

from keepmap.drawing.parts.scale import APART, robust_top


def test_one_layer_alone_does_not_decide() -> None:
    values = np.array([[1.0, 2.0], [1.0, 3.0], [0.5, 2.5]])
    assert robust_top(values) == (3.0, False)
    values[0] = 3.0 * APART
    assert robust_top(values) == (3.0 * APART, False)
    values[0] *= 1.01
    assert robust_top(values) == (3.0, True)
    assert robust_top(values[:2]) == (3.0 * APART * 1.01, False), "of two layers none stands alone"


def test_no_value_is_no_top() -> None:
    assert robust_top(np.full((4, 2), np.nan)) == (1.0, False)
    assert robust_top(np.zeros((4, 2))) == (1.0, False)
    assert robust_top(np.array([[5.0], [0.0], [0.0]])) == (5.0, False), "nothing else to scale by"
