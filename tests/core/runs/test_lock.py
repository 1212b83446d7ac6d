"""One process at a time; a lock whose owner is gone, however it went, keeps nobody out."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
from filelock import FileLock

from keepmap.core.runs.lock import LOCK, PATIENCE, alone_in, is_taken, refuse_taken, remove_left_over
from keepmap.errors import InputError, OutputError

HOLD = """
import sys, time, pathlib
from keepmap.core.runs.lock import alone_in
with alone_in(pathlib.Path(sys.argv[1]), "run", "`output_dir`"):
    print("in", flush=True)
    time.sleep(600)
"""


def test_the_lock_of_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8")
    assert holder.stdout is not None and holder.stdout.readline() == "in\n"
    (tmp_path / f".half.json.{holder.pid}.part").touch()
    (tmp_path / f".ckpt-3.{holder.pid}.part").mkdir()
    assert is_taken(tmp_path)
    message = f"another run is going on in {tmp_path}; wait for it, or give another `output_dir`"
    for refused in (lambda: refuse_taken(tmp_path, "run", "`output_dir`"), lambda: enter(tmp_path)):
        with pytest.raises(InputError) as error:
            refused()
        assert str(error.value) == message
    holder.kill()
    holder.communicate()
    assert not is_taken(tmp_path)
    refuse_taken(tmp_path, "run", "`output_dir`")
    enter(tmp_path)
    assert not list(tmp_path.glob("*.part"))


def enter(folder: Path) -> None:
    with alone_in(folder, "run", "`output_dir`"):
        assert is_taken(folder)


def test_asking_writes_nothing(tmp_path: Path) -> None:
    assert not is_taken(tmp_path) and not is_taken(tmp_path / "nothing")
    assert not list(tmp_path.iterdir())


def test_only_what_dead_processes_were_writing_is_removed(tmp_path: Path) -> None:
    names = [f".a.json.{os.getppid()}.part", ".a.part", "a.json.999999999.part", ".notes.x.part"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".a.json.99999999999999999999.part").touch()
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / f".b.json.{os.getpid()}.part").touch()
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / ".a.999999999.part").touch()
    (tmp_path / "link").symlink_to(tmp_path / "mine" / "deep")
    remove_left_over(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "samples", "mine", "link"])
    assert not list((tmp_path / "samples").iterdir())
    assert (tmp_path / "link" / ".a.999999999.part").exists(), "what a link leads to is somebody else's"


def test_where_no_file_can_be_made_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write into the folder"), alone_in(tmp_path / ("a" * 300), "run", "x"):
        raise AssertionError


def test_whoever_only_looks_keeps_nobody_out(tmp_path: Path) -> None:
    enter(tmp_path)
    looked = FileLock(tmp_path / LOCK, thread_local=False)
    for ask in (lambda: is_taken(tmp_path), lambda: enter(tmp_path)):
        looked.acquire()
        Timer(PATIENCE / 4, looked.release).start()
        assert not ask()


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to("mine")
    assert not is_taken(tmp_path)
    with pytest.raises(OutputError, match=r"cannot write into the folder .*: its .lock is a link; remove it$"):
        enter(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"
