"""The compiled steps do what their text says, uncompiled; and say where a row has to be computed anew."""

from typing import Any

import numpy as np
import pytest

from keepmap.kv.eviction import steps
from keepmap.kv.eviction.steps import VANISHED, take_steps

N, START, ROWS, OLD = 14, 8, 6, 5  # five old keys, one of them padding in the first head


def state(dtype: Any) -> dict[str, Any]:
    """The arguments of a block in which positions leave a window of two, one of them dropped at each step."""
    draw = np.random.default_rng(0)
    positions = np.array([[-1, 0, 3, 5, 7], [0, 2, 4, 5, 7]])
    positions = np.concatenate([positions, np.tile(np.arange(START, N), (2, 1))], axis=1)
    weights = draw.random((2, 3, ROWS, OLD + ROWS)).astype(dtype)
    weights[..., OLD:] *= np.tri(ROWS, dtype=dtype)
    weights[0, ..., 0] = 0
    leaves = np.zeros(N, dtype=np.int64)
    leaves[START:] = np.arange(START, N) - 1
    return {
        "weights": weights,
        "sink": draw.random((2, 3, ROWS)),
        "inverse": np.zeros((2, 3, ROWS)),
        "total": draw.random((2, OLD + ROWS)),
        "positions": positions,
        "barred": np.where(positions >= 1, 0.0, np.inf),
        "expires": np.full((2, N), N + 1),
        "scores": np.zeros((2, N)),
        "leaves": leaves,
        "drops": np.array([[0, 0]] * START + [[1, 1], [0, 1], [2, 1], [0, 0], [1, 2], [1, 0]]),
        "safe": np.full(N, -1),
        "threshold": 0.0,
        "averages": False,
        "start": START,
        "first": 0,
        "stop": ROWS,
        "left": 6,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("rule", ["budget", "shared", "threshold"])
def test_compiled_steps_equal_their_text(dtype, averages, rule):
    compiled, text = state(dtype), state(dtype)
    for arguments in (compiled, text):
        arguments["averages"] = averages
        if rule == "shared":
            arguments.update(safe=np.full(N, 2))
        if rule == "threshold":
            arguments.update(threshold=0.2 if averages else 1.0, drops=np.full((N, 2), -1))
    assert take_steps(*compiled.values()) == take_steps.py_func(*text.values()) == (ROWS, N - 2)
    assert 0 < (compiled["expires"] <= N).sum() < compiled["expires"].size
    for name, array in compiled.items():
        np.testing.assert_allclose(array, text[name], rtol=1e-12, err_msg=name)


def test_a_row_whose_sum_has_vanished_ends_the_steps_before_it():
    arguments = state(np.float64)
    arguments["weights"][1, 2, 3] *= VANISHED / 100
    arguments["sink"][1, 2, 3] = 0
    before = arguments["total"].sum()
    assert take_steps(*arguments.values()) == (3, START + 1)
    # Each row of each head hands out one, less what the learned sink takes.
    assert 0 < arguments["total"].sum() - before < 3 * 2


def test_where_no_folder_holds_what_is_compiled_it_is_compiled_all_the_same(monkeypatch):
    def refuses(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(steps.numba, "njit", refuses)
    assert steps.compiled(len) is len
