"""Hashes notice what changes results, and nothing else."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from keepmap.core.runs.hashes import hash_of_files, hash_of_lines, hash_of_tensors, hash_of_value

DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.complex64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_value_every_place_and_every_name_counts(dtype: torch.dtype) -> None:
    weight = torch.zeros(3, 4, 5).to(dtype)
    weight[0, 1, 3] = 1
    hashes = {hash_of_tensors({"w": weight}), hash_of_tensors({"v": weight}), hash_of_tensors({"w": weight.flip(0)})}
    hashes |= {hash_of_tensors({"w": weight.flip(2)}), hash_of_tensors({"w": weight.reshape(4, 3, 5)})}
    hashes |= {hash_of_tensors({"w": torch.zeros_like(weight)}), hash_of_tensors({})}
    assert len(hashes) == 7
    assert hash_of_tensors({"a": weight, "b": weight.mT}) == hash_of_tensors({"b": weight.mT.contiguous(), "a": weight})


def test_tensors_of_no_size_and_of_no_axis_count() -> None:
    hashes = {hash_of_tensors({"w": value}) for value in (torch.tensor(1.0), torch.tensor(2.0), torch.zeros(0, 3))}
    assert len(hashes) == 3


def test_the_smallest_change_of_one_weight_counts() -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    other = weight.clone()
    other[5, 6] = torch.nextafter(other[5, 6], torch.tensor(9.0))
    assert hash_of_tensors({"w": weight}) != hash_of_tensors({"w": other})


def test_lines_and_files(tmp_path: Path) -> None:
    assert hash_of_lines(["a", "b"]) != hash_of_lines(["a\nb"]) != hash_of_lines(["b", "a"])
    assert hash_of_lines(["\ud800"]) == hash_of_lines(["\ud800"])
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in "abc")
    assert hash_of_files([a, b]) == hash_of_files([c, b]) != hash_of_files([b, a])
    with pytest.raises(OSError, match="No such file"):
        hash_of_files([tmp_path / "d"])


class Thing:
    def __init__(self, value: object, hidden: object = None) -> None:
        self.value, self._hidden = value, hidden

    def method(self) -> object:
        return self.value


def test_what_an_object_is_made_of_counts() -> None:
    array, looped = np.arange(4.0), Thing(1)
    looped.value = looped
    things = [
        *(1, 1.0, "1", b"1", None, True, [1], (1,), {"a": 1}, {"b": 1}, {1}, Thing, Thing(1), Thing(2), looped),
        *(
            array,
            array[:2],
            array.astype(np.float32),
            np.float64(3),
            np.float32(3),
            np.float32(4),
            [array],
            {"a": array},
        ),
        *(torch.tensor(array), torch.tensor(array).flip(0), Thing(array), Thing(2 * array), Thing(None, array)),
        *(Thing(array).method, Thing(2 * array).method, Thing(array).__init__, partial(max, 1), partial(max, 2)),
        *(torch.nn.Linear(2, 2), lambda x: x, lambda x: x + 1, lambda x: x + 2, lambda x, y=1: x, lambda x, *, y=1: x),
    ]
    hashes = [hash_of_value(thing) for thing in things]
    assert len(set(hashes)) == len(things) and hashes == [hash_of_value(thing) for thing in things]
    assert hash_of_value(Thing(array.copy(), 5)) == hash_of_value(Thing(array)), "what it has noted does not count"
