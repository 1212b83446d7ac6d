"""Packed maps are the KeepMaps, by the way that the page goes back; what is too much is left out and said."""

import base64
import re
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.maps import Packed, PackedMap, add_maps, most_held, packed_map
from tests.drawing.page.pages import keep_maps, lone_map


def unpacked(packed: PackedMap, delays: Packed | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Expiries and what is held, entry by entry as the page's script has it."""
    shape = packed.about["shape"]
    size, n = int(np.prod(shape)), shape[2]
    raw, about = delays or packed.delays
    held, alive = (
        np.unpackbits(np.frombuffer(zlib.decompress(bits, -15), np.uint8))[:size]
        for bits in (packed.held, packed.alive)
    )
    planes = np.frombuffer(zlib.decompress(raw, -15), np.uint8).reshape(about["bytes"], -1)
    numbers, step = iter(sum(plane.astype(int) << (8 * at) for at, plane in enumerate(planes))), about.get("step", 1)
    expires = [n if alive[at] else min(n - 1, at % n + 1 + next(numbers) * step) for at in range(size)]
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
        (10**6, "", [[], [], []]),
        (3000, "scores are left out.", [["scores"]] * 3),
        (900, "entries went are left out for h2o, kvzap.", [["alive", "delays", "scores"]] * 2 + [["scores"]]),
    ],
)
def test_what_is_too_much_is_left_out_and_said(largest, left_out, without):
    maps = [packed_map(keep_map, {"label": key}) for key, keep_map in keep_maps(300).items()]
    arrays = Arrays()
    entries, note = add_maps(maps, arrays, largest)
    assert (left_out in note) and bool(note) == bool(left_out)
    names = ("held", "alive", "delays", "scores")
    assert [[name for name in names if entry[name] is None] for entry in entries] == without
    assert arrays.size < max(largest, 2000)


def test_maps_that_do_not_fit_are_left_out_by_name():
    maps = [packed_map(keep_map, {"label": key.upper()}) for key, keep_map in keep_maps(300).items()]
    arrays = Arrays()
    entries, note = add_maps(maps, arrays, 500)
    assert [entry is None for entry in entries] == [False, True, True] and arrays.size < 500
    assert note == (
        "To keep this file small, the maps of KVZAP, STREAMING_LLM are left out; scores are left out; "
        "the queries at which entries went are left out."
    )


def test_queries_are_rounded_up_as_far_as_it_needs_and_of_those_that_pack_badly_alone():
    n, random = 3000, np.random.default_rng(0)
    latest = np.arange(n) + 1 + random.integers(0, n, (1, 2, n))
    drawn = [np.minimum(latest, n), np.broadcast_to(np.minimum(np.arange(n) + 50, n), (1, 2, n)).copy()]
    keep_maps = [KeepMap(torch.from_numpy(expires), torch.zeros(expires.shape)) for expires in drawn]
    maps = [packed_map(keep_map, {"label": name}) for keep_map, name in zip(keep_maps, ("Random", "Last"), strict=True)]
    steps = []
    for largest in (7_500, 5_500, 4_500, 3_000):
        arrays = Arrays()
        (entry, exact), note = add_maps(maps, arrays, largest)
        assert arrays.size <= largest + 8 and "step" not in exact["delays"]
        if entry["delays"] is None:
            steps.append(None)
            assert note.endswith("the queries at which entries went are left out for Random.")
            continue
        steps.append(entry["delays"]["step"])
        assert note.endswith(f"the queries at which entries went are rounded up to steps of {steps[-1]} (Random).")
        rounded, held = unpacked(maps[0], (element(arrays, entry["delays"]["id"]), entry["delays"]))
        true, gone = drawn[0], drawn[0] < n
        assert (rounded[~gone] == n).all() and (held == ~gone).all()
        assert (rounded[gone] >= true[gone]).all() and (rounded[gone] < true[gone] + steps[-1]).all()
    assert steps == sorted(steps, key=lambda step: step or n) and steps[-1] is None and len(set(steps)) > 2


def element(arrays: Arrays, name: str) -> bytes:
    (content,) = re.findall(rf'id="{name}">([^<]*)<', arrays.elements())
    return base64.b64decode(content)


def test_a_page_of_a_long_context_is_small():
    maps = [packed_map(lone_map(131_072, [(0, 1, 77_777)]), {})]
    arrays = Arrays()
    add_maps(maps, arrays)
    assert arrays.size < 10_000
