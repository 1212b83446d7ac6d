"""Files of histories that are small and take much: of memory, of time, or of the stack."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from keepmap.agents.collection.dataset import NAMES, open_histories
from keepmap.errors import InputError

PAIRS = ("states", "next_states")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that reads, of one goal."""
    with h5py.File(tmp_path / "histories.hdf5", "w") as file:
        for name in NAMES:
            file.create_dataset(f"0/{name}", data=np.zeros((40, 3, 2)[: 3 if name in PAIRS else 2], np.uint8))
    assert open_histories(tmp_path / "histories.hdf5").read(0).actions.shape == (40, 3)
    return tmp_path / "histories.hdf5"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        open_histories(path).read(0)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def actions(path: Path, shape: tuple[int, int] = (40, 3), **options: object) -> None:
    """Others in place of those that are there."""
    with h5py.File(path, "a") as file:
        del file["0/actions"]
        file.create_dataset("0/actions", shape, np.uint8, **options)


def packed(path: Path, content: bytes, *filters: int, chunk: tuple[int, int] = (40, 3)) -> None:
    """Actions of one piece that is packed in this way, and has these bytes."""
    with h5py.File(path, "a") as file:
        del file["0/actions"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk(chunk)
        for number in filters:
            layout.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (9,))
        space = h5py.h5s.create_simple((40, 3), (h5py.h5s.UNLIMITED,) * 2)
        array = h5py.h5d.create(file["0"].id, b"actions", h5py.h5t.STD_U8LE, space, layout)
        array.write_direct_chunk((0, 0), content)


def test_pieces_are_no_larger_than_what_they_hold(path: Path) -> None:
    actions(path, maxshape=(None, None), chunks=(2**30, 1))
    assert "actions of group 0 are in pieces of 1 GiB and take less" in refusal(path)


def test_pieces_are_no_more_than_can_be_looked_up(path: Path) -> None:
    with h5py.File(path, "a") as file:
        for name in NAMES:
            del file[f"0/{name}"]
            shape = (3000, 3000, 2)[: 3 if name in PAIRS else 2]
            file.create_dataset(f"0/{name}", shape, np.uint8, chunks=(1,) * len(shape))
    assert "states of group 0 are in 18,000,000 pieces" in refusal(path)


def test_a_piece_is_as_large_as_it_says(path: Path) -> None:
    deflate = h5py.h5z.FILTER_DEFLATE
    packed(path, zlib.compress(bytes(120)), deflate)
    assert not open_histories(path).read(0).actions.any()
    large = zlib.compress(bytes(2**26 + 2**22))
    packed(path, large, deflate)
    assert "actions of group 0 are damaged: a piece is larger than it says" in refusal(path)


def test_a_large_piece_is_read(path: Path) -> None:
    steps, learners = 2000, 400
    noise = np.random.default_rng(0).integers(0, 5, (steps, learners), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        for name in NAMES:
            shape = (steps, learners, 2)[: 3 if name in PAIRS else 2]
            checks = {"fletcher32": True, "shuffle": True, "compression": "gzip", "chunks": shape}
            file.create_dataset(f"0/{name}", data=noise if name == "actions" else np.zeros(shape, np.uint8), **checks)
    assert np.array_equal(open_histories(path).read(0, slice(5, 9)).actions, noise[5:9])


@pytest.mark.parametrize("filters", [(1, 1), (6,), (32000,), (32015,)], ids=["twice", "scale", "lzf", "unknown"])
def test_other_ways_to_pack_are_refused_unread(path: Path, filters: tuple[int, ...]) -> None:
    packed(path, bytes(120), *filters)
    assert "actions of group 0 are packed in another way than gzip, once" in refusal(path)


def many_names(path: Path, n: int = 300) -> bytearray:
    """Of the older format, with a tree of names that has branches."""
    with h5py.File(path, "w", libver="earliest") as file:
        for number in range(n):
            file.create_group(str(number))
    return bytearray(path.read_bytes())


def test_a_tree_of_names_that_is_whole_is_read(path: Path) -> None:
    many_names(path)
    assert 'has the group "1' in refusal(path)  # more than the room has goals


@pytest.mark.parametrize("child", [0, 1])
def test_a_tree_of_names_that_grows_from_itself_is_refused(path: Path, child: int) -> None:
    content = many_names(path)
    branch = content.index(b"TREE\0\1")
    place = branch + 32 + 16 * child
    content[place : place + 8] = branch.to_bytes(8, "little")
    path.write_bytes(content)
    code = "import sys; from keepmap import open_histories; open_histories(sys.argv[1])"  # HDF5 would end the process
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is damaged where its names are; collect it again" in done.stderr


def test_a_tree_that_has_one_branch_often_is_refused(path: Path) -> None:
    content = many_names(path)
    branch = content.index(b"TREE\0\1")
    content[branch + 6 : branch + 8] = (32).to_bytes(2, "little")
    first = content[branch + 32 : branch + 40]
    for child in range(32):
        content[branch + 32 + 16 * child : branch + 40 + 16 * child] = first
    path.write_bytes(content)
    assert "is damaged where its names are" in refusal(path)


def test_branches_that_lie_over_one_another_are_refused(path: Path) -> None:
    content = many_names(path)
    path.write_bytes(content + b"TREE\0\1\xff\xff" * 2000)
    assert "is damaged where its names are" in refusal(path)


def test_numbers_that_no_integer_holds_are_one_line(path: Path) -> None:
    with h5py.File(path, "a") as file:
        facts = {"format": "keepmap-histories", "schema_version": 1, "environment": "keepmap/DarkRoom-9x9-v0"}
        for name, value in (facts | {"size": np.inf, "horizon": 20, "options": json.dumps({})}).items():
            file.attrs[name] = value
    assert "cannot convert float infinity to integer" in refusal(path)


@pytest.mark.filterwarnings("error")
def test_rewards_that_are_no_numbers_are_refused_without_a_warning(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["0/rewards"]
        file["0/rewards"] = np.full((40, 3), np.nan)
    assert "rewards of group 0 are not whole numbers" in refusal(path)
