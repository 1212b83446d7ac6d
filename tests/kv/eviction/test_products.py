"""Products of heads: those of the sums that they stand for, in the room that is given, at any number of rows."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.kv.eviction.products import product_by_head


@given(heads=st.integers(1, 5), rows=st.integers(1, 40), inner=st.integers(1, 9), columns=st.integers(1, 9))
def test_each_head_has_its_own_product(heads: int, rows: int, inner: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    left = torch.randn(heads, rows, inner, generator=generator, dtype=torch.float64)
    right = torch.randn(heads, inner, columns, generator=generator, dtype=torch.float64)
    room = torch.full((heads, rows, columns), float("nan"), dtype=torch.float64)
    assert product_by_head(left, right, room) is room
    assert torch.allclose(room, torch.einsum("hbk,hkd->hbd", left, right))


def test_views_of_a_room_and_of_turned_matrices_are_taken() -> None:
    left, right = torch.randn(3, 16, 4), torch.randn(3, 6, 4).transpose(1, 2)
    room = torch.zeros(5, 16, 6)
    product_by_head(left, right, room[1:4])
    assert torch.allclose(room[1:4], left @ right, atol=1e-6)
    assert (room[0] == 0).all() and (room[4] == 0).all()
