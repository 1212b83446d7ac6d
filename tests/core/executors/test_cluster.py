"""A Ray cluster of two nodes in processes of this test: what killed workers were at is done again, with the same bytes.

Everything that Ray writes lies in a folder of the test's, and it speaks to nobody outside of this machine.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keepmap.cli import main
from keepmap.commands.compare import compare_compression_methods
from keepmap.core.executors.cluster import RayExecutor, ray_executor
from keepmap.core.executors.connection import Head
from keepmap.core.executors.spread import Spread
from keepmap.errors import InputError, WorkerError
from keepmap.kv.comparison import spreading
from tests.core.executors.jobs import crew

REPOSITORY = Path(__file__).parents[3]
TIMED = {"timings.json", "index.jsonl", "run.json", ".lock"}
OPTIONS = {
    "methods": "random streaming_llm",
    "sliding_window_size": 16,
    "device": "cpu",
    "visualize_first_sample": False,
}
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with a CPU each."""
    # The paths of its sockets are to be short.
    folder = tempfile.mkdtemp(prefix="keepmap-")
    (Path(folder) / "ray").mkdir()
    # keepmap is where this test has it from, in workers too.
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    variables = {
        "RAY_TMPDIR": folder,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        before = signal.getsignal(signal.SIGTERM)
        from ray.cluster_utils import Cluster

        node = {
            "num_cpus": 1,
            "include_dashboard": False,
            "object_store_memory": 80 << 20,
            "plasma_directory": folder,
        }
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            cluster.add_node(**node)
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield cluster.address
        finally:
            cluster.shutdown()
            signal.signal(signal.SIGTERM, before)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def texts(data_file: Path) -> Path:
    """Eight texts."""
    data_file.write_text(data_file.read_text() * 2)
    return data_file


def results(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in TIMED]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def pids_of(executor: RayExecutor) -> set[int]:
    """The processes of two workers."""
    pids, deadline = set[int](), time.monotonic() + 60
    while len(pids) < 2 and time.monotonic() < deadline:
        pids |= {future.result() for future in [executor.submit(os.getpid) for _ in range(4)]}
    return pids


def is_there(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_that_signals_are_for_the_run(capfd: Any) -> None:
    """Of Ray's library, whose handlers are put in place when it connects for the first time."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with ray_executor("ray", workers=1, threads=1, device="cpu"):
            os.kill(os.getpid(), signal.SIGTERM)
            assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr().err == ""


def assert_that_killed_workers_change_no_byte(
    texts: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Of a comparison by two workers."""
    where = {"data_path": texts, "model_name": model_folder}
    compare_compression_methods(**where, **OPTIONS, output_dir=tmp_path / "calm")
    written: list[Path] = []
    with ray_executor("ray", workers=None, threads=1, device="cpu") as executor:
        pids = pids_of(executor)
        assert len(pids) == 2, "a worker on each node"

        def write(folder: Path, *arguments: Any) -> None:
            written.append(folder)
            if len(written) == 1:
                # One of them may be loading its model still, while the other does the samples.
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
            original(folder, *arguments)

        original = spreading.write_finished
        monkeypatch.setattr(spreading, "write_finished", write)
        compare_compression_methods(**where, **OPTIONS, output_dir=tmp_path / "spread", executor=executor)
        again = pids_of(executor)
        assert len(again) == 2 and not again & pids, "others took their places"
    assert "a worker died on sample" in capfd.readouterr().err
    assert len(written) == 8 * 4, "each result came once"
    assert results(tmp_path / "spread") == results(tmp_path / "calm")
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(os.getpid)
    deadline = time.monotonic() + 30
    while any(map(is_there, pids)):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.1)


def assert_that_the_command_line_finds_the_cluster(
    texts: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """By RAY_ADDRESS."""
    monkeypatch.chdir(tmp_path)
    words = ["compare", "--data_path", texts.name, "--model_name", str(model_folder), "--max_samples", "2"]
    words += ["--methods", "random", "--sliding_window_size", "16", "--no_visualize", "--quiet", "--device"]
    assert main([*words, "cpu", "--output_dir", "here"]) == 0
    assert main([*words, "cpu", "--output_dir", "there", "--executor", "ray", "--workers", "1"]) == 0
    assert results(tmp_path / "there") == results(tmp_path / "here")
    capfd.readouterr()
    assert main([*words, "cuda", "--output_dir", "no", "--executor", "ray"]) == 2
    assert capfd.readouterr().err == "error: got --device cuda and a Ray cluster without GPUs; use --device cpu\n"


def assert_that_a_worker_with_more_threads_than_any_machine_has_is_refused() -> None:
    """In one line."""
    with (
        pytest.raises(InputError, match="takes 64 CPUs, as torch has here, and the largest machine .* has 1; set OMP_"),
        ray_executor("ray", workers=None, threads=64, device="cpu"),
    ):
        pass


@pytest.mark.timeout(600)
def test_on_a_cluster_of_two_nodes(
    cluster: str, texts: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    # One test: processes that share the tests would begin a cluster each.
    where = (texts, model_folder, tmp_path, monkeypatch, capfd)
    assert_that_signals_are_for_the_run(capfd)
    assert_that_killed_workers_change_no_byte(*where)
    assert_that_the_command_line_finds_the_cluster(*where)
    assert_that_a_worker_with_more_threads_than_any_machine_has_is_refused()


class Failing(types.ModuleType):
    """As much of Ray as an executor needs, on a cluster where keepmap is not installed."""

    class RayError(Exception):
        """As Ray raises."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.n_begun = 0
        self.exceptions = types.SimpleNamespace(RayError=self.RayError)

    def remote(self, **options: Any) -> Any:
        """What makes a class an actor's."""
        return lambda actor: types.SimpleNamespace(remote=self.begin)

    def begin(self) -> Any:
        """An actor."""
        self.n_begun += 1
        return types.SimpleNamespace(begin=types.SimpleNamespace(remote=object))

    def wait(self, references: list[object], **options: Any) -> tuple[list[object], list[object]]:
        """All of them have ended."""
        return references, []

    def get(self, reference: object) -> None:
        """Each by an error."""
        raise self.RayError("The actor died: No module named 'keepmap'.")

    def kill(self, actor: object) -> None:
        """Nothing to kill."""


def test_workers_that_cannot_begin_are_not_begun_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray = Failing()
    monkeypatch.setitem(sys.modules, "ray", ray)
    executor = RayExecutor(1, {"num_cpus": 1}, Head(""))
    with (
        Spread(executor, crew(), tmp_path) as spread,
        pytest.raises(WorkerError, match="the Ray cluster has no worker any more .*No module named 'keepmap'.*goes on"),
    ):
        list(spread.events(["a", "b"]))
    executor.shutdown()
    assert ray.n_begun == 3
