"""The compiled step does what its text says, uncompiled, and what the obvious formulas say."""

from typing import Any

import numpy as np
import pytest
import torch

from keepmap.kv.cache.decoding.kernel import take_query

HEADS, SEEN, DIM = 2, 900, 5


def state(dtype: type = np.float64, group: int = 4, count: int = 530, **others: Any) -> dict[str, Any]:
    """The arguments of a step at position SEEN: the window is 8, there are 2 sinks, and room is over."""
    draw, room = np.random.default_rng(group + count), count + 3
    positions = np.full((HEADS, room), -1, dtype=np.int32)
    for row in positions:
        row[:count] = draw.permutation(np.sort(draw.choice(SEEN - 8, count - 8, replace=False)).tolist() + RECENT)
    arguments = {
        "queries": draw.normal(size=(HEADS, group, DIM)).astype(dtype),
        "new_keys": draw.normal(size=(HEADS, DIM)).astype(dtype),
        "new_values": draw.normal(size=(HEADS, DIM)).astype(dtype),
        "known": draw.random(HEADS),
        "sinks": np.full((HEADS, group), -np.inf),
        "softcap": 0.0,
        "keys": draw.normal(size=(HEADS * room, DIM)).astype(dtype),
        "values": draw.normal(size=(HEADS * room, DIM)).astype(dtype),
        "starts": np.arange(HEADS) * room,
        "counts": np.full(HEADS, count),
        "positions": positions,
        "scores": np.where(positions >= 0, draw.random((HEADS, room)), 0.0),
        "expires": np.zeros((HEADS, SEEN + 5), dtype=np.int32),
        "record": np.zeros((HEADS, SEEN + 5), dtype=np.float32),
        "seen": SEEN,
        "receives": True,
        "averages": False,
        "n_sink": 2,
        "left": SEEN - 8,
        "leaving": SEEN - 7,
        "drops": 1,
        "threshold": -np.inf,
        "output": np.zeros((HEADS, group, DIM), dtype=dtype),
    }
    return arguments | others


RECENT = list(range(SEEN - 8, SEEN))
CASES: dict[str, dict[str, Any]] = {
    "received": {},
    "averages": {"averages": True},
    "known": {"receives": False, "drops": 3},
    "threshold": {"left": 100, "leaving": 700, "drops": -1, "threshold": 0.4},
    "capped": {"softcap": 0.7, "sinks": np.linspace(-1, 2, HEADS * 4).reshape(HEADS, 4)},
    "nothing": {"leaving": 0},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_compiled_step_equals_its_text(case: str, dtype: type) -> None:
    compiled, text = state(dtype, **CASES[case]), state(dtype, **CASES[case])
    assert take_query(*compiled.values()) and take_query.py_func(*text.values())
    for name, array in compiled.items():
        np.testing.assert_allclose(array, text[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_step_equals_the_formulas(case: str) -> None:
    before, after = state(**CASES[case]), state(**CASES[case])
    assert take_query(*after.values())
    for head in range(HEADS):
        start, count = before["starts"][head], before["counts"][head]
        old = slice(start, start + count)
        keys, values = (
            np.vstack([before[name][old], before[new][head]])
            for name, new in (("keys", "new_keys"), ("values", "new_values"))
        )
        at = np.append(before["positions"][head, :count], SEEN)
        logits = torch.from_numpy(before["queries"][head] @ keys.T)
        if before["softcap"]:
            logits = before["softcap"] * torch.tanh(logits / before["softcap"])
        sinks = torch.from_numpy(before["sinks"][head])[:, None]
        weights = torch.softmax(torch.cat([logits, sinks], dim=1), dim=1)[:, :-1].numpy()
        np.testing.assert_allclose(after["output"][head], weights @ values, rtol=1e-9)
        scores = np.append(before["scores"][head, :count], before["known"][head])
        if before["receives"]:
            scores += weights.mean(axis=0)
        decisive = scores / (SEEN + 1 - at) if before["averages"] else scores
        entered = (at < before["leaving"]) & (at >= 2)
        if before["drops"] < 0:
            entered &= at >= before["left"]
            dropped = at[entered & (decisive < before["threshold"])]
        else:
            order = np.lexsort((at, np.where(entered, decisive, np.inf)))
            dropped = at[order[: before["drops"] if before["leaving"] else 0]]
        assert sorted(np.flatnonzero(after["expires"][head])) == sorted(dropped)
        assert set(after["expires"][head, dropped]) <= {SEEN + 1}
        rest = after["counts"][head]
        left = after["positions"][head, :rest]
        assert rest == count + 1 - len(dropped) and set(left) == set(at) - set(dropped)
        assert (after["positions"][head, rest : count + 1] == -1).all()
        where = [list(at).index(position) for position in left]
        rows = slice(start, start + rest)
        np.testing.assert_array_equal(after["keys"][rows], keys[where])
        np.testing.assert_array_equal(after["values"][rows], values[where])
        np.testing.assert_allclose(after["scores"][head, :rest], scores[where], rtol=1e-9)
        for position in at[entered] if before["drops"] < 0 else dropped:
            assert after["record"][head, position] == np.float32(decisive[list(at).index(position)])


def test_of_equal_scores_the_earlier_goes() -> None:
    arguments = state(receives=False, drops=2)
    arguments["scores"][:] = 0.5
    earliest = [sorted(row[row >= 2].tolist())[:2] for row in arguments["positions"]]
    assert take_query(*arguments.values())
    assert [np.flatnonzero(row).tolist() for row in arguments["expires"]] == earliest


@pytest.mark.parametrize("drops", [1, -1])
def test_what_is_no_number_is_noticed(drops: int) -> None:
    arguments = state(left=100, leaving=700, drops=drops)
    arguments["keys"][3] = np.nan
    assert not take_query(*arguments.values())
