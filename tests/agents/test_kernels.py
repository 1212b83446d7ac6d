"""Ways to the same attention agree, forwards and backwards."""

import pytest
import torch

from keepmap.agents import kernels

AGREE = 1e-5


@pytest.mark.parametrize("n", [1, 2, 3, 17, 160])
@pytest.mark.parametrize("rows", ["all", "queries"])
def test_the_causal_kernels_are_the_masked_softmax_with_its_gradients(n: int, rows: str) -> None:
    torch.manual_seed(n)
    q, k, v = (torch.randn(2, 2, 2 * n, 8, requires_grad=True) for _ in range(3))
    queries = q if rows == "all" else q[:, :, n:]
    weights = torch.randn(queries.shape)
    fused = kernels.fused_all_steps(queries, k, v)
    slow = kernels.explicit(kernels.packed_visible(n))(queries, k, v)
    assert (fused - slow).abs().max() < AGREE
    ours = torch.autograd.grad((fused * weights).sum(), (q, k, v))
    theirs = torch.autograd.grad((slow * weights).sum(), (q, k, v))
    for array, other in zip(ours, theirs, strict=True):
        assert (array - other).abs().max() < AGREE


def test_nobody_sees_a_later_step_and_no_transition_sees_a_query() -> None:
    visible = kernels.packed_visible(3)
    assert visible.int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]
