"""Gathering positions into cells loses nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keepmap.drawing.parts.cells import gather, paint
from keepmap.drawing.parts.style import EVICTED, KEPT
from tests.drawing.maps import rgb


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_cells_hold_every_position_once(n: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((3, n)) < 0.2
    cells = gather(mask, columns)
    shown = min(n, columns)
    assert cells.share.shape == (3, shown)
    parts = [[j for j in range(n) if c * n // shown <= j < (c + 1) * n // shown] for c in range(shown)]
    assert [j for part in parts for j in part] == list(range(n))
    for c, part in enumerate(parts):
        np.testing.assert_allclose(cells.share[:, c], mask[:, part].mean(axis=1))
        np.testing.assert_array_equal(cells.most[:, c], mask[:, part].any(axis=1))


def test_a_row_is_its_shade_with_a_tick_below() -> None:
    mask = np.zeros((1, 1000), dtype=bool)
    mask[0, 999] = True
    picture = paint(gather(mask, 2), EVICTED, KEPT, height=5, tick=2)
    assert picture.shape == (1, 5, 2, 3)
    assert (picture[0, :, 0] == rgb(EVICTED)).all()
    assert (picture[0, 3:, 1] == rgb(KEPT)).all()
    assert not (picture[0, :3, 1] == rgb(KEPT)).all()
