"""Jobs spread over processes: what dies is done again, what fails is raised, nothing is left behind."""

import multiprocessing
import os
import select
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from keepmap.core.joining.plugins import load_plugin, unload_plugins
from keepmap.core.processes import Crew, JobDone, JobMessage, WorkerReady, run_crew, run_jobs
from keepmap.errors import InputError, WorkerError
from keepmap.kv.method import method_class
from tests.core.file_jobs import PluginJob, add, open_tools, place, write, write_patience, write_power


def test_processes_do_every_job_and_replace_the_dead(tmp_path: Path) -> None:
    jobs = [tmp_path / name for name in ("a", "dies-once", "b", "c")]
    shares: list[tuple[int, float]] = []
    died: list[tuple[int, int | None]] = []
    run_jobs(jobs, write, 2, tmp_path, lambda *what: shares.append(what), lambda *what: died.append(what))
    assert [job.read_text() for job in jobs] == ["done"] * 4
    assert died == [(1, -signal.SIGKILL)]
    assert sorted(index for index, share in shares if share == 1.0) == [0, 1, 2, 3]
    assert not list(tmp_path.glob(".*.part")) and not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("dies-always", WorkerError, "two workers died on .*dies-always .the last with exit code -9."),
        ("fails", InputError, "what is wrong"),
    ],
)
def test_a_job_that_cannot_be_done_ends_the_run(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_jobs([tmp_path / name], write, 2, tmp_path, lambda *what: None, lambda *what: None)
    assert not list(tmp_path.glob(".*.part")) and not multiprocessing.active_children()


def test_interrupts_are_for_the_parent(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupt(index: int, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([tmp_path / "a", tmp_path / "b"], write, 2, tmp_path, interrupt, lambda *what: None)
    assert not multiprocessing.active_children() and signal.getsignal(signal.SIGINT) is before


HELD = """
import ctypes, os, sys
from pathlib import Path
from keepmap.core.processes import Crew, run_crew

def set_up(argument):
    return None, None

def work(tools, job, send):
    print(os.getpid(), flush=True)
    ctypes.PyDLL(None).sleep(60)  # no thread of this process runs meanwhile

if __name__ == "__main__":
    crew = Crew(set_up=set_up, work=work, threads=1, describe=str, advice="", parts=())
    for _ in run_crew(crew, [1], lambda facts: [1], Path()):
        pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread of the worker waits for its turn")
def test_a_worker_that_lets_no_thread_run_ends_with_its_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(HELD)
    with subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
        # Its end of the pipe closes with it; else not before a minute has passed.
        assert select.select([process.stdout], [], [], 20)[0] and process.stdout.readline() == ""
        process.wait()
    state = Path(f"/proc/{worker}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    shares: list[tuple[int, float]] = []
    run_jobs([tmp_path / "a"], write, 1, tmp_path, lambda *what: shares.append(what), lambda *what: None)
    assert shares == [(0, 0.5), (0, 1.0)]


@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_threads_of_workers_wait_asleep_unless_told_otherwise(
    tmp_path: Path, own: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    jobs = [tmp_path / "a", tmp_path / "b"]
    run_jobs(jobs, write_patience, 2, tmp_path, lambda *what: None, lambda *what: None)
    assert {job.read_text() for job in jobs} == {own or "PASSIVE"}
    assert os.environ.get("OMP_WAIT_POLICY") == own


def crew() -> Crew:
    return Crew(
        set_up=open_tools,
        work=add,
        threads=1,
        describe=place,
        advice="use less",
        parts=(".*",),
    )


def test_each_worker_is_set_up_once_and_its_facts_say_what_the_jobs_are(tmp_path: Path) -> None:
    ready, sums, done = [], {}, []
    with closing(run_crew(crew(), [(tmp_path, 10), (tmp_path, 10)], range, tmp_path)) as events:
        for event in events:
            match event:
                case WorkerReady(facts):
                    assert not sums or ready
                    ready.append(facts)
                case JobMessage(index, content):
                    sums.setdefault(index, []).append(content)
                case JobDone(index):
                    done.append(index)
    assert set(ready) == {5} and 1 <= len(ready) <= 2
    assert sums == {index: [10 + index, -1] for index in range(5)} and sorted(done) == list(range(5))
    assert 1 <= len(list(tmp_path.glob("set-up-*"))) <= 2
    assert not multiprocessing.active_children()


def test_workers_that_die_before_their_first_job_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "dies").touch()
    with pytest.raises(WorkerError, match=r"two workers died in setting up .*exit code -9.* of memory: use less"):
        list(run_crew(crew(), [(tmp_path, 1)], range, tmp_path))
    assert not multiprocessing.active_children()


def test_a_run_that_is_no_longer_wanted_ends_its_workers(tmp_path: Path) -> None:
    events = run_crew(crew(), [(tmp_path, 1), (tmp_path, 2)], range, tmp_path)
    assert isinstance(next(events), WorkerReady) and multiprocessing.active_children()
    events.close()
    assert not multiprocessing.active_children()


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from keepmap.kv.method import Scored

@dataclass(frozen=True)
class Mine(Scored):
    power: float = 2.0
    name: ClassVar[str] = "mine_in_processes"
    label: ClassVar[str] = "Mine"
    needs: ClassVar[str] = "position"

    def score(self, layer):
        return layer.values.norm(dim=-1) ** self.power
"""


def test_workers_know_the_plugins_and_take_values_of_their_classes(tmp_path: Path) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN)
    try:
        load_plugin(file)
        job = PluginJob(tmp_path / "name", method_class("mine_in_processes")(power=3.0))
        run_jobs([job], write_power, 2, tmp_path, lambda *share: None, lambda *death: None)
    finally:
        unload_plugins()
    assert job.path.read_text() == "mine_in_processes 3.0"
