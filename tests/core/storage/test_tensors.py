"""A damaged file is one line or the same values: a seeded flipper goes over every byte; old files still read."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import keepmap
from keepmap.agents.checkpoints import MODEL, load_tensors, read_checkpoint, write_checkpoint
from keepmap.core.keep_map import KeepMap
from keepmap.core.storage.tensors import CHECKSUM, read_labelled, read_tensors, tensors_file, write_labelled
from keepmap.errors import InputError, KeepmapError
from keepmap.kv.surrogate import WEIGHTS, KVzapSurrogate, SurrogateConfig, load_surrogate

EXPIRES = torch.tensor([[[4, 2, 4, 4]], [[3, 4, 4, 4]]])
SCORES = torch.arange(8.0).reshape(2, 1, 4)
INFO = {"method": "x", "density": 0.5, "seed": 3}


def keep_map() -> KeepMap:
    return KeepMap(EXPIRES, SCORES, n_sink=1, window=2, threshold=-1.5, info=INFO)


def flipped(content: bytes, seed: int, step: int = 1) -> Iterator[bytes]:
    """The content with one byte changed: each in turn, to another value."""
    rng = random.Random(seed)
    for at in range(0, len(content), step):
        damaged = bytearray(content)
        damaged[at] ^= rng.randrange(1, 256)
        yield bytes(damaged)


def assert_same_or_one_line(
    path: Path, load: Callable[[], object], same: Callable[[object], bool], step: int = 1, seeds: int = 1
) -> None:
    """Flip every byte of a file: what loads is the same, and all else is an error of keepmap's, on one line."""
    content, n_errors, n_same = path.read_bytes(), 0, 0
    for seed in range(seeds):
        for damaged in flipped(content, seed, step):
            path.write_bytes(damaged)
            try:
                loaded = load()
            except KeepmapError as error:
                message, n_errors = str(error), n_errors + 1
                if "\n" in message:
                    pytest.fail(f"not one line: {message!r}")
            else:
                n_same += 1
                if not same(loaded):
                    pytest.fail(f"another value was read: {damaged!r}")
    path.write_bytes(content)
    assert same(load()) and n_errors > 9 * n_same


def test_a_keep_map_with_a_flipped_byte_is_the_same_or_one_line(tmp_path):
    path = tmp_path / "map"
    keep_map().save(path)
    own = keep_map()
    assert_same_or_one_line(
        path,
        lambda: KeepMap.load(path),
        lambda loaded: loaded == own and loaded.info == INFO,  # type: ignore[attr-defined]
        seeds=3,
    )


def test_a_profile_with_a_flipped_byte_is_the_same_or_one_line(tmp_path):
    path = tmp_path / "profile"
    profile = keepmap.profile_attention("tiny", [1, 2, 3, 4], layers=[0])
    profile.save(path)

    def same(loaded: object) -> bool:
        assert isinstance(loaded, keepmap.AttentionProfile)
        return torch.equal(loaded.received, profile.received) and loaded.info == profile.info

    assert_same_or_one_line(path, lambda: keepmap.AttentionProfile.load(path), same, step=7)


def test_a_surrogate_with_a_flipped_byte_is_the_same_or_one_line(tmp_path):
    surrogate = KVzapSurrogate(SurrogateConfig(input_dim=3, output_dim=2, n_modules=1))
    surrogate.save(tmp_path)

    def same(loaded: object) -> bool:
        assert isinstance(loaded, KVzapSurrogate)
        return all(torch.equal(loaded.state_dict()[name], value) for name, value in surrogate.state_dict().items())

    assert_same_or_one_line(tmp_path / WEIGHTS, lambda: load_surrogate(tmp_path), same)


def test_a_checkpoint_with_a_flipped_byte_is_the_same_or_one_line(tmp_path):
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
    facts = {"train": [], "held_out": [], "seconds": 0.0}
    write_checkpoint(tmp_path / "ckpt-1", 1, {}, facts, weights)
    checkpoint = read_checkpoint(tmp_path / "ckpt-1")

    def same(loaded: object) -> bool:
        assert isinstance(loaded, dict)
        return loaded.keys() == weights.keys() and all(torch.equal(loaded[name], weights[name]) for name in weights)

    assert_same_or_one_line(tmp_path / "ckpt-1" / MODEL, lambda: load_tensors(checkpoint), same)


def test_files_from_before_there_was_a_checksum_still_read(tmp_path):
    path = tmp_path / "map"
    keep_map().save(path)
    tensors, metadata = read_tensors(path)
    assert CHECKSUM not in metadata
    save_file(tensors, path, metadata)
    assert KeepMap.load(path) == keep_map()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool], ids=str)
def test_tensors_of_every_type_and_size_come_back(tmp_path, dtype):
    tensors = {"none": torch.zeros(0, 3, dtype=dtype), "scalar": torch.ones((), dtype=dtype)}
    tensors["turned"] = torch.arange(6).reshape(2, 3).to(dtype).T
    path = tmp_path / "file"
    path.write_bytes(tensors_file(tensors, {"x": "y"}))
    assert tensors_file(dict(reversed(tensors.items())), {"x": "y"}) == path.read_bytes()
    read, metadata = read_tensors(path)
    assert metadata == {"x": "y"} and read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == dtype for name in tensors)


def test_the_checksum_is_of_names_types_shapes_and_what_is_said(tmp_path):
    value = torch.arange(6, dtype=torch.int32).reshape(2, 3)
    files = [
        tensors_file({"a": value}),
        tensors_file({"b": value}),
        tensors_file({"a": value.T.contiguous().T.reshape(3, 2)}),
        tensors_file({"a": value.view(torch.float32)}),
        tensors_file({"a": value}, {"x": "1"}),
    ]
    sums = set()
    for content in files:
        (tmp_path / "file").write_bytes(content)
        with safe_open(tmp_path / "file", framework="pt") as file:
            sums.add(file.metadata()[CHECKSUM])
    assert len(sums) == len(files)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("form/3", "it has version 3 of its format, this keepmap reads 2; update keepmap"),
        ("form/1", "its format is 'form/1', not 'form/2'"),
        ("other/3", "its format is 'other/3', not 'form/2'"),
        ("form/" + "9" * 5000, "it has version 999999999 of its format"),
    ],
    ids=["newer", "older", "other", "endless"],
)
def test_another_format_or_version_is_named(tmp_path, given, message):
    write_labelled(tmp_path / "file", given, {}, {"a": torch.ones(1)}, kind="a form")
    with pytest.raises(ValueError, match=f"^{message}"):
        read_labelled(tmp_path / "file", "form/2")


def test_a_checksum_that_has_lost_its_name_is_no_file_from_before_there_was_one(tmp_path):
    write_labelled(tmp_path / "file", "form/2", {}, {"a": torch.ones(1)}, kind="a form")
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content.replace(CHECKSUM.encode(), b"kaepmap_checksum"))
    with pytest.raises(ValueError, match="^it says 'kaepmap_checksum', which is not part of its format"):
        read_labelled(tmp_path / "file", "form/2")


@pytest.mark.parametrize("about", ["[" * 100_000, "[]", "3", "{"], ids=lambda text: text[:2])
def test_what_is_said_about_the_tensors_is_an_object_of_some_depth(tmp_path, about):
    save_file({"a": torch.ones(1)}, tmp_path / "file", {"format": "form/2", "about": about})
    with pytest.raises(ValueError, match="what it says about its tensors|Expecting"):
        read_labelled(tmp_path / "file", "form/2")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_sink", None, "expected `n_sink` to be an integer of 0 or more, got None"),
        ("n_sink", 1e30, "expected `n_sink` to be an integer of 0 or more, got 1e"),
        ("n_sink", -1, "expected `n_sink` to be an integer of 0 or more, got -1"),
        ("window", 10**30, "expected `window` to be an integer of 9223372036854775807 or less"),
        ("window", "2", "expected `window` to be an integer of 0 or more, got '2'"),
        ("threshold", "x", "expected `threshold` to be a number, got 'x'"),
        ("info", [1], "expected `info` to be a mapping, got a list"),
    ],
)
def test_a_keep_map_whose_parts_are_none_is_one_line(tmp_path, name, value, message):
    about = {"n_sink": 1, "window": 2, "threshold": None, "info": {}, name: value}
    tensors = {"expires": EXPIRES.int(), "scores": SCORES, "held": (EXPIRES >= 4).to(torch.uint8)}
    metadata = {"format": "keepmap/1", "about": json.dumps(about)}
    save_file(tensors, tmp_path / "map", metadata)
    with pytest.raises(InputError, match="is not a KeepMap, or is damaged: ") as raised:
        KeepMap.load(tmp_path / "map")
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("load", [KeepMap.load, keepmap.AttentionProfile.load])
def test_what_is_no_file_is_named(tmp_path, load):
    for path, what in ((tmp_path, "a folder"), (Path(os.devnull), "a device")):
        with pytest.raises(InputError, match=f"^no .* at {path}: it is {what}, not a file$"):
            load(path)
    with pytest.raises(InputError, match="no such file$"):
        load(tmp_path / "nothing")
