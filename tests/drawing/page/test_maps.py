"""Packed maps are the KeepMaps, by the way that the page goes back; what is too much is left out and said."""

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.maps import PackedMap, add_maps, most_held, packed_map
from tests.drawing.page.pages import keep_maps, lone_map


def unpacked(packed: PackedMap) -> tuple[np.ndarray, np.ndarray]:
    """Expiries and what is held, entry by entry as the page's script has it."""
    shape = packed.about["shape"]
    size, n = int(np.prod(shape)), shape[2]
    held, alive = (
        np.unpackbits(np.frombuffer(zlib.decompress(bits, -15), np.uint8))[:size]
        for bits in (packed.held, packed.alive)
    )
    planes = np.frombuffer(zlib.decompress(packed.delays[0], -15), np.uint8).reshape(packed.delays[1]["bytes"], -1)
    delays = iter(sum(plane.astype(int) << (8 * at) for at, plane in enumerate(planes)))
    expires = [n if alive[at] else at % n + 1 + next(delays) for at in range(size)]
    return np.reshape(expires, shape), held.astype(bool).reshape(shape)


@pytest.mark.parametrize("name", ["h2o", "kvzap", "streaming_llm"])
def test_a_packed_map_is_the_map(name):
    keep_map = keep_maps(70)[name]
    expires, held = unpacked(packed_map(keep_map, {}))
    assert (expires == keep_map.expires.numpy()).all() and (held == keep_map.held.numpy()).all()


@given(st.data())
@settings(max_examples=30)
def test_the_most_held_is_the_largest_density_of_any_step(data):
    n = data.draw(st.integers(1, 9))
    expires = torch.tensor([[[data.draw(st.integers(at + 1, n)) for at in range(n)] for _ in range(2)]])
    held = (expires >= n) & torch.tensor([[[data.draw(st.booleans()) for _ in range(n)] for _ in range(2)]])
    keep_map = KeepMap(expires, torch.zeros(expires.shape), held=held)
    most = max(float(keep_map.kept(step).double().mean()) for step in range(n))
    assert most_held(keep_map) == pytest.approx(most)


@pytest.mark.parametrize(
    ("largest", "left_out", "without"),
    [
        (10**6, "", []),
        (3000, "scores are left out", ["scores"]),
        (900, "the queries at which entries went", ["scores", "delays", "alive"]),
    ],
)
def test_what_is_too_much_is_left_out_and_said(largest, left_out, without):
    maps = [packed_map(keep_map, {"key": key}) for key, keep_map in keep_maps(300).items()]
    arrays = Arrays()
    entries, note = add_maps(maps, arrays, largest)
    assert (left_out in note) and bool(note) == bool(left_out)
    for name in ("held", "alive", "delays", "scores"):
        assert [entry[name] is None for entry in entries] == [name in without] * 3
    assert arrays.size < max(largest, 2000)


def test_maps_that_do_not_fit_are_left_out_by_name():
    maps = [packed_map(keep_map, {"label": key.upper()}) for key, keep_map in keep_maps(300).items()]
    arrays = Arrays()
    entries, note = add_maps(maps, arrays, 500)
    assert [entry is None for entry in entries] == [False, True, True] and arrays.size < 500
    assert note == "To keep this file small, the maps of KVZAP, STREAMING_LLM are left out, and scores and times."


def test_a_page_of_a_long_context_is_small():
    maps = [packed_map(lone_map(131_072, [(0, 1, 77_777)]), {})]
    arrays = Arrays()
    add_maps(maps, arrays)
    assert arrays.size < 10_000
