"""The cache: made once, whole or rebuilt, one maker at a time, and dispensable."""

import multiprocessing
from pathlib import Path

import pytest

from keepmap.core.cache import cache_folder, cached


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("KEEPMAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Filling:
    """Fills a folder, and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self, folder: Path):
        self.calls += 1
        (folder / "weights").write_bytes(bytes(range(256)) * 40)
        (folder / "empty").touch()


def test_the_variable_names_the_folder_and_empty_means_the_users(monkeypatch, place):
    assert cache_folder() == place
    monkeypatch.setenv("KEEPMAP_CACHE", "")
    assert cache_folder().name == "keepmap" and cache_folder() != place
    monkeypatch.setenv("KEEPMAP_CACHE", "~/models")
    assert cache_folder() == Path.home() / "models"


def test_a_folder_is_filled_once(place):
    fill = Filling()
    folder = cached("kind/key", fill)
    assert cached("kind/key", fill) == folder == place / "kind" / "key"
    assert fill.calls == 1 and len((folder / "weights").read_bytes()) == 256 * 40


def flip(folder):
    content = bytearray((folder / "weights").read_bytes())
    content[100] ^= 1
    (folder / "weights").write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda folder: (folder / "weights").write_bytes(b"cut"),
        lambda folder: (folder / "weights").unlink(),
        lambda folder: (folder / "empty").write_text("not empty"),
        lambda folder: (folder / "contents.json").unlink(),
        lambda folder: (folder / "contents.json").write_text("[1]"),
        lambda folder: (folder / "contents.json").write_text("{"),
    ],
)
def test_a_damaged_folder_is_filled_again(damage):
    fill = Filling()
    folder = cached("key", fill)
    damage(folder)
    assert cached("key", fill) == folder and fill.calls == 2
    assert cached("key", fill) == folder and fill.calls == 2


def test_what_a_killed_process_left_is_removed_and_a_failure_leaves_nothing(place):
    (place / ".key.123.part").mkdir(parents=True)

    def fail(folder):
        (folder / "weights").write_bytes(b"half")
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        cached("key", fail)
    assert [path.name for path in place.iterdir()] == ["key.lock"]


def test_where_nothing_can_be_written_one_line_says_so(place, caplog, monkeypatch):
    whole = cached("key", Filling())
    place_of_file = place / "file"
    place_of_file.touch()
    monkeypatch.setenv("KEEPMAP_CACHE", str(place_of_file))
    assert cached("key", Filling()) is None
    (record,) = caplog.records
    assert "works without its cache" in record.getMessage() and "KEEPMAP_CACHE" in record.getMessage()
    assert "\n" not in record.getMessage()
    monkeypatch.setenv("KEEPMAP_CACHE", str(place))
    assert cached("key", Filling()) == whole


def fill_slowly(folder: Path):
    with (folder.parent.parent / "calls").open("a") as calls:
        calls.write("x")
    Filling()(folder)


def test_two_processes_fill_it_once(place, tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=cached, args=("key", fill_slowly)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "calls").read_text() == "x" and (place / "key" / "weights").is_file()
