"""Files of histories that point elsewhere, or declare more than memory holds."""

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from keepmap.agents.collection.dataset import NAMES, open_histories
from keepmap.agents.collection.stored import stored_array, stored_facts, stored_file
from keepmap.errors import InputError


def write(path: Path, steps: int = 40, learners: int = 3) -> Path:
    """A file of one goal, of zeros that take no space."""
    with h5py.File(path, "w") as file:
        for name in NAMES:
            shape = (steps, learners, 2) if name in ("states", "next_states") else (steps, learners)
            file.create_dataset(f"0/{name}", shape, np.uint8, chunks=(1, 1, 2)[: len(shape)])
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        open_histories(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that reads, and another one beside it with the same arrays."""
    write(tmp_path / "other.hdf5")
    (tmp_path / "raw").write_bytes(bytes(240))
    assert len(open_histories(write(tmp_path / "mine.hdf5"))) == 1
    return tmp_path / "mine.hdf5"


def external_group(file: h5py.File) -> None:
    del file["0"]
    file["0"] = h5py.ExternalLink("other.hdf5", "/0")


def external_array(file: h5py.File) -> None:
    del file["0/rewards"]
    file["0/rewards"] = h5py.ExternalLink("other.hdf5", "/0/rewards")


def soft_link_to_an_external_one(file: h5py.File) -> None:
    file["away"] = h5py.ExternalLink("other.hdf5", "/0")
    file.move("0/rewards", "0/kept")
    file["0/rewards"] = h5py.SoftLink("/away/rewards")
    del file["away"]
    file["0/away"] = h5py.ExternalLink("other.hdf5", "/0")


def broken_soft_link(file: h5py.File) -> None:
    del file["0/rewards"]
    file["0/rewards"] = h5py.SoftLink("/nowhere")


def external_storage(file: h5py.File) -> None:
    del file["0/actions"]
    file.create_dataset("0/actions", (40, 3), np.uint8, external=[("raw", 0, 120)])


def virtual(file: h5py.File) -> None:
    del file["0/actions"]
    layout = h5py.VirtualLayout((40, 3), np.uint8)
    layout[:] = h5py.VirtualSource("other.hdf5", "0/actions", (40, 3))
    file.create_virtual_dataset("0/actions", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_group, '"0" is a link to elsewhere'),
        (external_array, '"rewards" is a link to elsewhere'),
        (soft_link_to_an_external_one, '"rewards" is a link to elsewhere'),
        (broken_soft_link, '"rewards" is a link to elsewhere'),
        (external_storage, "actions of group 0 lies in another file"),
        (virtual, "actions of group 0 lies in another file"),
    ],
)
def test_no_other_file_is_read(path: Path, change, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    histories = open_histories(path)
    with h5py.File(path, "a") as file:
        change(file)
    assert message in refusal(path)
    with pytest.raises(InputError, match=message):  # a file that was changed after it was opened
        histories.read(0)


def test_a_declared_size_is_compared_with_memory_before_any_is_taken(path: Path, tmp_path: Path) -> None:
    giant = write(tmp_path / "giant.hdf5", 10**9, 10**6)
    assert giant.stat().st_size < 20_000
    tracemalloc.start()
    message = refusal(giant)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert "a goal's histories would take 6.22 PiB of memory, and there is" in message


@pytest.mark.parametrize("dtype", ["S100000000", h5py.string_dtype(), h5py.ref_dtype, np.dtype([("a", "i4")])])
def test_what_are_no_numbers_is_refused_unread(path: Path, dtype: object) -> None:
    with h5py.File(path, "a") as file:
        del file["0/actions"]
        file.create_dataset("0/actions", (40, 3), dtype, chunks=(1, 1))
    assert "actions of group 0 are not numbers" in refusal(path)


def test_a_stored_array_is_itself(path: Path) -> None:
    with stored_file(path) as file:
        array = stored_array(path, file, "0", "actions")
        assert array is not None and array.shape == (40, 3)
        assert stored_array(path, file, "0", "no_such") is None


@pytest.fixture
def texts(path: Path) -> Path:
    """A file whose texts are of any length, as earlier versions of keepmap wrote them."""
    with h5py.File(path, "a") as file:
        file.attrs["format"], file.attrs["source"], file.attrs["seed"] = "a" * 30, "b" * 30, 7
    return path


def test_texts_of_any_length_are_read_where_their_heap_is_whole(texts: Path) -> None:
    content = texts.read_bytes()
    with stored_file(texts) as file:
        assert stored_facts(texts, file) == {"format": "a" * 30, "source": "b" * 30, "seed": 7}
    heap = content.index(b"GCOL")
    free = content.index(b"b" * 30) + 32
    for at, number, size in ((heap + 8, 2**60, 8), (heap + 24, 2**63, 8), (free + 8, 0, 8), (free + 8, 2**40, 8)):
        texts.write_bytes(content[:at] + number.to_bytes(size, "little") + content[at + size :])
        assert "is damaged where its texts are; collect it again" in refusal(texts)  # HDF5 itself would not end


@pytest.mark.parametrize("kind", [h5py.vlen_dtype(np.int32), h5py.ref_dtype, np.dtype([("a", "i4")]), np.dtype("V3")])
def test_what_a_file_says_is_numbers_and_texts(texts: Path, kind: np.dtype) -> None:
    values = np.empty(2, dtype=kind)
    if h5py.check_vlen_dtype(kind):
        values[:] = [np.ones(1, np.int32), np.ones(2, np.int32)]
    with h5py.File(texts, "a") as file:
        file.attrs.create("seed", values, (2,), kind)
    assert "what it says as 'seed' is neither a number nor a text" in refusal(texts)
