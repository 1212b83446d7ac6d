"""Jobs on any executor: every one is done, what is lost is done again, and many workers have no time to wait."""

import importlib
import os
import sys
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from keepmap.core.executors.spread import Spread, slots_of
from keepmap.core.processes import JobDone, JobMessage, WorkerDied
from keepmap.errors import InputError, WorkerError
from tests.core.executors.jobs import crew

ROOT = Path(__file__).resolve().parents[3]


def outcome(events: Any) -> tuple[list[Any], list[int], list[int | None]]:
    """What jobs have sent, which are done, and on which a worker was lost."""
    listed = list(events)
    sent = [event.content for event in listed if isinstance(event, JobMessage)]
    done = [event.index for event in listed if isinstance(event, JobDone)]
    return sent, done, [event.index for event in listed if isinstance(event, WorkerDied)]


class Losing(Executor):
    """Does calls here, the first of them `n_lost` times in vain; without end where it is broken."""

    def __init__(self, n_lost: int, error: Exception | None = None, is_broken: bool = False) -> None:
        self.n_lost, self.error, self.is_broken = n_lost, error, is_broken
        self.jobs: list[str] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        if self.is_broken:
            raise BrokenExecutor("somebody pulled the plug")
        future: Future[Any] = Future()
        self.jobs.append(args[0].job)
        if len(self.jobs) <= self.n_lost:
            future.set_exception(self.error or ConnectionError("gone"))
        else:
            future.set_result(fn(*args))
        return future


def test_threads_do_every_job_and_are_set_up_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as executor, Spread(executor, crew(), tmp_path) as spread:
        sent, done, died = outcome(spread.events(["a", "b", "c", "d"]))
        assert (sorted(done), died, spread.slots) == ([0, 1, 2, 3], [], 3)
        assert len(sent) == 8 and {("begun", job) for job in "abcd"} < set(sent)
        assert outcome(spread.events(["e"]))[1] == [0]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pool_of_processes_that_breaks_is_replaced_and_stays_the_users(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with Spread(executor, crew(), tmp_path) as spread:
            sent, done, died = outcome(spread.events(["a", "dies-once", "b"]))
        assert (sorted(done), died) == ([0, 1, 2], [1])
        assert [content[0] for content in sent if content[0] != "begun"] == ["a", "dies-once", "b"]
    pids = {path.name.rpartition("-")[2] for path in tmp_path.glob("set-up-*")}
    assert len(pids) == 2 and str(os.getpid()) not in pids


def test_an_executor_that_is_closed_is_an_error(tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with (
        Spread(executor, crew(), tmp_path) as spread,
        pytest.raises(InputError, match="`executor` takes no work: cannot schedule new futures after shutdown"),
    ):
        outcome(spread.events(["a"]))


def test_a_job_that_loses_its_worker_is_next_and_not_for_ever(tmp_path: Path) -> None:
    executor = Losing(2)
    with Spread(executor, crew(), tmp_path) as spread:
        _, done, died = outcome(spread.events(["a", "b"]))
    assert (sorted(done), died, slots_of(executor)) == ([0, 1], [0, 1], None)
    with (
        Spread(Losing(99), crew(), tmp_path) as spread,
        pytest.raises(WorkerError, match=r"5 workers were lost on a \(the last by ConnectionError: gone\): use less"),
    ):
        outcome(spread.events(["a"]))


def test_a_worker_that_its_executor_has_cancelled_is_lost(tmp_path: Path) -> None:
    class Cancelling(Losing):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
            future = super().submit(fn, *args, **kwargs) if self.jobs else Future()
            self.jobs.append("")
            future.cancel()
            if future.cancelled():
                future.set_running_or_notify_cancel()
            return future

    with Spread(Cancelling(0), crew(), tmp_path) as spread:
        assert outcome(spread.events(["a"]))[1:] == ([0], [0])


def test_what_is_broken_and_no_pool_of_processes_is_an_error(tmp_path: Path) -> None:
    with (
        Spread(Losing(0, is_broken=True), crew(), tmp_path) as spread,
        pytest.raises(WorkerError, match=r"the `executor` is broken \(somebody pulled the plug\); what is finished"),
    ):
        outcome(spread.events(["a"]))


def test_errors_of_jobs_are_raised_after_what_was_sent(tmp_path: Path) -> None:
    with Spread(Losing(0), crew(), tmp_path) as spread:
        events = spread.events(["fails"])
        assert next(events) == JobMessage(0, ("begun", "fails"))
        with pytest.raises(InputError, match="what is wrong"):
            next(events)
        with pytest.raises(RuntimeError, match="(?s)a worker failed on .*KeyError: 'a bug'"):
            outcome(spread.events(["bug"]))


def test_what_is_no_longer_wanted_is_not_begun(tmp_path: Path) -> None:
    class Holding(Losing):
        futures: list["Future[Any]"] = []

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
            self.futures.append(super().submit(fn, *args) if not self.futures else Future())
            return self.futures[-1]

    executor = Holding(0)
    with Spread(executor, crew(), tmp_path) as spread:
        next(spread.events(["a", "b", "c"]))
    assert [future.cancelled() for future in executor.futures] == [False, True, True]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("bench_scale")


def test_a_hundred_workers_that_die_are_busy(bench: Any) -> None:
    cluster = bench.simulated(bench.seconds_of_units(10_000), 100, bench.TIMES)
    assert cluster.deaths > 20, "each worker dies once in an hour"
    assert cluster.busy() >= 0.95


def test_without_the_order_of_the_schedule_they_would_wait(bench: Any) -> None:
    cluster = bench.simulated(bench.seconds_of_units(10_000), 100, bench.TIMES, sorts=False)
    assert cluster.busy() < 0.95


def test_the_benchmark_counts_what_travels(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--units", "300", "--workers", "5", "--sizes", "40", "--samples", "2"]
    monkeypatch.setattr(sys, "argv", ["bench_scale.py", *sizes])
    bench.main()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    row = next(row for row in rows if row[:1] == ["40"])
    to_workers, from_workers, records, keep_map = (int(cell.replace(",", "")) for cell in row[1:])
    # A record is 400 to 600 bytes, of 40 tokens; a KeepMap has 2 x 4 entries of 9 bytes for each.
    assert 400 < records * 40e-6 < 600 and 72 <= keep_map < 100
    assert 100 < to_workers * 40e-6 * 5 < 5000 and 100 < from_workers * 40e-6 < 5000
    assert sum(row[-1:] != [] and row[-1].endswith(" %") for row in rows) == 4
