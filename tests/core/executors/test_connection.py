"""The connection to a Ray cluster: one that is begun here lives as long as it is needed; a lost head is told."""

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepmap.cli import main
from keepmap.core.executors import connection
from keepmap.core.executors.cluster import ray_executor
from keepmap.core.executors.connection import Head
from keepmap.errors import WorkerError

REPOSITORY = Path(__file__).parents[3]
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine where no cluster is; all that Ray writes lies in this folder."""
    folder = tempfile.mkdtemp(prefix="keepmap-")  # the paths of its sockets are to be short
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    for name, value in {"RAY_TMPDIR": folder, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    yield Path(folder)
    signal.signal(signal.SIGTERM, before)
    shutil.rmtree(folder, ignore_errors=True)


def processes_in(folder: Path, name: str) -> list[int]:
    """Those of a program that were told this folder."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if name in words.split("\0")[0] and str(folder) in words:
            pids.append(int(path.parent.name))
    return pids


@pytest.mark.timeout(300)
def test_a_cluster_that_is_begun_here_lives_and_its_head_is_missed(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "EVERY", 0.1)
    monkeypatch.setattr(connection, "LOST", 0.5)
    with ray_executor("ray", workers=1, threads=1, device="cpu") as executor:
        # What began it is over by now; what it began is not.
        time.sleep(1)
        heads = processes_in(alone, "gcs_server")
        assert len(heads) == 1
        assert executor.submit(os.getpid).result(timeout=120) != os.getpid()
        os.kill(heads[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match="has no worker any more .ConnectionError: its head does not answer"):
            executor.submit(time.sleep, 60).result(timeout=60)
    assert capfd.readouterr().err == ""
    assert not processes_in(alone, "raylet")


def test_a_head_is_lost_when_it_has_not_answered_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(connection.time, "monotonic", lambda: now[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = Head(f"127.0.0.1:{server.getsockname()[1]}")
        for now[0] in (3.0, 6.0, 60.0):
            assert not head.is_lost()
    states = []
    for now[0] in (61.0, 66.0, 89.0, 94.0, 95.0):
        states.append(head.is_lost())
    assert states == [False, False, False, True, True]
    assert not Head("").is_lost()


def test_a_cluster_that_does_not_answer_is_one_line(capfd: pytest.CaptureFixture[str], data_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        assert main(["compare", "--data_path", str(data_file), "--executor", address]) == 2
        assert time.monotonic() - started < 60
    error = capfd.readouterr().err
    assert error.startswith(f"error: no Ray cluster answers at {address} (Connection refused)")
    assert len(error.splitlines()) == 1
