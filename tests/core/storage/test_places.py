"""A folder, a device, a FIFO and a socket are no files: neither read nor written; a link leads to what it points to."""

import os
import socket
from pathlib import Path

import pytest

from keepmap.core.arguments import as_path
from keepmap.core.files import read_json, write_text, written_whole
from keepmap.core.storage.places import as_file, file_to_write, kind_at
from keepmap.errors import InputError, OutputError


@pytest.fixture
def places(tmp_path, monkeypatch):
    """One of each kind, in the folder that the test runs in: the name of a socket has 100 letters at most."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("FIFO")
    Path("folder").mkdir()
    Path("file").write_text("before")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield {"a FIFO": Path("FIFO"), "a folder": Path("folder"), "a socket": Path("socket"), None: Path("file")}


def test_what_is_no_file_is_called_by_its_kind(places):
    assert {kind_at(path): path for path in places.values()} == places
    assert kind_at(Path(os.devnull)) == "a device" and kind_at(Path("none")) is None
    assert kind_at(Path("file/below")) is None


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a socket"])
def test_what_is_no_file_is_not_written_and_stays(places, kind):
    path = places[kind]
    before = path.stat()
    for target in (path, Path("link")):
        if target.name == "link":
            target.symlink_to(path)
        with pytest.raises(OutputError, match=rf"^cannot write {target}: it is {kind}, not a file$"):
            write_text(target, "after")
    assert (path.stat().st_mode, path.stat().st_ino) == (before.st_mode, before.st_ino)
    assert not list(Path().glob(".*"))


def test_a_device_is_not_written(tmp_path):
    # A link, so that a failure would replace the link, not the device.
    link = tmp_path / "link"
    link.symlink_to(os.devnull)
    with pytest.raises(OutputError, match="it is a device, not a file"):
        write_text(link, "after")
    assert link.is_symlink()


def test_a_link_is_followed_and_stays(places):
    Path("link").symlink_to("file")
    Path("other").symlink_to("link")
    write_text(Path("other"), "after")
    assert Path("file").read_text() == "after" and Path("other").is_symlink() and Path("link").is_symlink()
    Path("dangling").symlink_to("folder/new")
    with written_whole(Path("dangling")) as temporary:
        assert temporary.parent.resolve() == Path("folder").resolve()
        temporary.write_text("new")
    assert Path("folder/new").read_text() == "new" and Path("dangling").is_symlink()


def test_a_circle_of_links_is_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="^cannot write .*: Too many levels of symbolic links$"):
        write_text(tmp_path / "a", "after")
    with pytest.raises(OSError, match="Too many levels"):
        file_to_write(tmp_path / "a")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["a FIFO", "a socket"])
def test_what_never_ends_is_not_read(places, kind):
    with pytest.raises(OSError, match=f"it is {kind}, not a file"):
        read_json(places[kind])
    assert as_file(places[None]) is places[None] and as_file(Path("none")) == Path("none")


def test_long_names(tmp_path):
    longest = tmp_path / ("é" * 127)
    write_text(longest, "text")
    assert longest.read_text() == "text"
    with pytest.raises(OutputError, match="File name too long"):
        write_text(tmp_path / ("a" * 300), "text")
    with pytest.raises(InputError, match=r"^expected `out` to be a path, got 'a{40,60}: File name too long$"):
        as_path("out", "a" * 300)


def test_a_place_that_may_not_be_looked_at_is_one_line(tmp_path, monkeypatch):
    def forbidden(self: Path) -> os.stat_result:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "stat", forbidden)
    with pytest.raises(InputError, match=r"^expected `out` to be a path, got 'secret': Permission denied$"):
        as_path("out", "secret")


def test_json_that_is_nested_too_deeply_is_a_wrong_value(tmp_path):
    (tmp_path / "deep").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="^it is nested too deeply$"):
        read_json(tmp_path / "deep")
