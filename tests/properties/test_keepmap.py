"""KeepMap: every number against brute force over visible(i, j) = j <= i < expires[l, g, j]."""

import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError, InputError, OutputError


@st.composite
def keep_maps(draw, shape=None):
    layers, heads, n = shape or (draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 14)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    position = torch.arange(n)
    lifetime = torch.randint(0, n + 3, (layers, heads, n), generator=generator)
    expires = torch.minimum(position + 1 + lifetime, torch.tensor(n))
    held = (expires == n) & (torch.rand(layers, heads, n, generator=generator) < 0.8)
    scores = torch.randn(layers, heads, n, generator=generator)
    return KeepMap(
        expires,
        scores,
        held=held,
        n_sink=draw(st.integers(0, 5)),
        window=draw(st.integers(0, 16)),
        threshold=draw(st.sampled_from([None, 0.5, -math.inf])),
        info={"method": "h2o", "seed": 3},
    )


@st.composite
def pairs(draw):
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 14))
    return draw(keep_maps(shape)), draw(keep_maps(shape))


def entries(keep_map, step):
    """The (layer, head, position) that the cache holds after query `step`: those that the next query sees."""
    layers, heads, n = keep_map.shape
    everything = [(la, g, j) for la in range(layers) for g in range(heads) for j in range(step + 1)]
    if step == n - 1:
        return {entry for entry in everything if keep_map.held[entry]}
    return {entry for entry in everything if entry[2] <= step + 1 < int(keep_map.expires[entry])}


def protected(keep_map, step):
    return {j for j in range(step + 1) if j < keep_map.n_sink or j > step - keep_map.window}


@given(keep_maps())
def test_what_is_kept_at_every_step(keep_map):
    n = keep_map.shape[2]
    for step in range(n):
        kept = {tuple(entry) for entry in keep_map.kept(step).nonzero().tolist()}
        assert kept == entries(keep_map, step)
    assert torch.equal(keep_map.kept(), keep_map.kept(n - 1))


@given(keep_maps())
def test_densities_at_every_step(keep_map):
    layers, heads, n = keep_map.shape
    for step in [*range(n), None]:
        last = n - 1 if step is None else step
        kept, safe = entries(keep_map, last), protected(keep_map, last)
        assert set(keep_map.protected(step).nonzero().flatten().tolist()) == safe
        assert keep_map.density(step) == pytest.approx(len(kept) / (layers * heads * (last + 1)))
        compressible = layers * heads * (last + 1 - len(safe))
        expected = sum(j not in safe for _, _, j in kept) / compressible if compressible else 1.0
        assert keep_map.compressible_density(step) == pytest.approx(expected)


@given(keep_maps())
def test_the_footprint_is_the_memory_held_over_time(keep_map):
    layers, heads, n = keep_map.shape
    held = sum(len(entries(keep_map, step)) for step in range(n))
    everything = sum(layers * heads * (step + 1) for step in range(n))
    assert keep_map.footprint() == pytest.approx(held / everything)


@given(pairs())
def test_overlap(pair):
    mine, theirs = pair
    for step in [*range(mine.shape[2]), None]:
        last = mine.shape[2] - 1 if step is None else step
        a, b = entries(mine, last), entries(theirs, last)
        expected = len(a & b) / len(a | b) if a | b else 1.0
        assert mine.overlap(theirs, step) == pytest.approx(expected)
        assert mine.overlap(theirs, step) == theirs.overlap(mine, step)
    assert mine.overlap(mine) == 1.0


@given(keep_maps())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_saved_map_comes_back_equal(tmp_path, keep_map):
    path = tmp_path / "made" / "with it" / "map.safetensors"
    keep_map.save(path)
    loaded = KeepMap.load(path)
    assert loaded == keep_map
    assert loaded.info == keep_map.info
    for name in ("expires", "scores", "held"):
        mine, theirs = getattr(keep_map, name), getattr(loaded, name)
        assert mine.dtype == theirs.dtype and torch.equal(mine, theirs)
    assert [path.name for path in path.parent.iterdir()] == ["map.safetensors"]


def example(**changes):
    values = {
        "expires": torch.tensor([[[4, 2, 4, 4]]]),
        "scores": torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]),
        "held": torch.tensor([[[True, False, False, True]]]),
        "n_sink": 1,
        "window": 1,
        "threshold": 0.5,
    }
    return KeepMap(**values | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": torch.tensor([[[4, 3, 4, 4]]])},
        {"scores": torch.tensor([[[1.0, 2.0, 3.0, 4.5]]])},
        {"held": torch.tensor([[[True, False, True, True]]])},
        {"n_sink": 0},
        {"window": 2},
        {"threshold": None},
    ],
)
def test_maps_that_differ_in_one_thing_are_not_equal(changes):
    assert example() == example()
    assert example() != example(**changes)
    assert example() != "a map"


def test_provenance_does_not_make_maps_differ():
    assert example(info={"seed": 1}) == example(info={"seed": 2})


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": torch.tensor([[[1.0, math.nan, 3.0, 4.0]]])},
        {"expires": torch.tensor([[[4, 1, 4, 4]]])},
        {"expires": torch.tensor([[[5, 2, 4, 4]]])},
        {"held": torch.tensor([[[True, True, False, True]]])},
    ],
)
def test_an_impossible_map_is_refused(changes):
    with pytest.raises(ImpossibleResultError):
        example(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": torch.zeros(1, 1, 3)},
        {"held": torch.ones(1, 1, 5, dtype=torch.bool)},
        {"expires": torch.tensor([4]), "scores": torch.zeros(1), "held": torch.ones(1, dtype=torch.bool)},
    ],
)
def test_shapes_that_do_not_agree_are_refused(changes):
    with pytest.raises((InputError, TypeError)):  # TypeError: the annotations, which the tests enforce, came first
        example(**changes)


@pytest.mark.parametrize("ask", [KeepMap.kept, KeepMap.density, KeepMap.compressible_density])
@pytest.mark.parametrize("step", [-1, 4])
def test_a_step_that_was_not_taken_is_refused(ask, step):
    with pytest.raises(InputError, match="step"):
        ask(example(), step)


def test_overlap_needs_one_shape():
    with pytest.raises(InputError, match="shape"):
        example().overlap(KeepMap(torch.tensor([[[1]]]), torch.zeros(1, 1, 1)))


GOOD = {name: getattr(example(), name).to(torch.float32) for name in ("expires", "scores", "held")}
ABOUT = json.dumps({"n_sink": 1, "window": 1, "threshold": 0.5, "info": {}})
METADATA = {"format": "keepmap/1", "about": ABOUT}


def _truncated(path):
    example().save(path)
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_text('{"expires": []}'), id="JSON"),
        pytest.param(_truncated, id="truncated"),
        pytest.param(lambda path: save_file(GOOD, path), id="another safetensors file"),
        pytest.param(lambda path: save_file(GOOD, path, {"format": "keepmap/9", "about": ABOUT}), id="a later format"),
        pytest.param(
            lambda path: save_file({k: v for k, v in GOOD.items() if k != "held"}, path, METADATA), id="a tensor short"
        ),
        pytest.param(lambda path: save_file(GOOD, path, {"format": "keepmap/1"}), id="nothing about it"),
        pytest.param(lambda path: save_file(GOOD, path, METADATA | {"about": "{"}), id="damaged JSON"),
        pytest.param(lambda path: save_file(GOOD, path, METADATA | {"about": '{"x": 1}'}), id="unknown words"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, damage):
    path = tmp_path / "map.safetensors"
    damage(path)
    with pytest.raises(InputError) as raised:
        KeepMap.load(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_map_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        example().save(tmp_path / "file" / "map.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_map_of_an_empty_text():
    empty = KeepMap(torch.zeros(2, 1, 0, dtype=torch.int64), torch.zeros(2, 1, 0))
    assert empty.kept().shape == (2, 1, 0)
    assert (empty.density(), empty.compressible_density(), empty.footprint()) == (1.0, 1.0, 1.0)
    assert "0 positions" in repr(empty)
