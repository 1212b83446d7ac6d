"""Samples spread over processes: what dies is done again, what fails is said, what is found is the same."""

import multiprocessing
import os
import signal
import threading

import pytest
import torch

from keepmap.errors import InputError, ModelError, WorkerError
from keepmap.kv.comparison.session import Finished, Job
from keepmap.kv.comparison.workers import Died, Ready, choose_devices, run_job
from tests.kv.comparison.jobs import job as make_job


@pytest.fixture
def job(model_folder, data_file, tmp_path) -> Job:
    lines = data_file.read_text().splitlines()
    data_file.write_text("\n".join(lines * 2))
    return make_job(model_folder, data_file, tmp_path / "out", "random streaming_llm h2o")


def kill_workers() -> None:
    for child in multiprocessing.active_children():
        if child.name.startswith("keepmap-"):
            child.kill()


def by_key(events) -> dict:
    results = [event.result for event in events if isinstance(event, Finished)]
    return {(result.sample, result.method): result for result in results}


@pytest.mark.usefixtures("quick_workers")
def test_a_killed_worker_is_reported_and_its_sample_done_again(job):
    expected = by_key(run_job(job, ["cpu"]))
    events = []
    for event in run_job(job, ["cpu", "cpu"]):
        if isinstance(event, Finished) and not any(isinstance(earlier, Finished) for earlier in events):
            for child in multiprocessing.active_children():
                (job.output_dir / f".half.json.{child.pid}.part").touch()
            kill_workers()
        events.append(event)
    died = [event for event in events if isinstance(event, Died)]
    assert died
    assert {event.exit_code for event in died} == {-signal.SIGKILL}
    assert by_key(events) == expected
    assert len(expected) == 8 * 5
    assert not list(job.output_dir.rglob("*.part"))
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("quick_workers")
def test_a_sample_that_kills_two_workers_ends_the_run(job):
    def kill_at_every_result() -> None:
        for event in run_job(job, ["cpu", "cpu"]):
            if isinstance(event, Finished):
                kill_workers()

    with pytest.raises(WorkerError, match=r"two workers died on sample \d+ \(the last with exit code -9\)"):
        kill_at_every_result()
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("quick_workers")
def test_workers_that_die_while_loading_end_the_run(job):
    stop = threading.Event()

    def keep_killing() -> None:
        while not stop.wait(0.05):
            kill_workers()

    killer = threading.Thread(target=keep_killing)
    killer.start()
    try:
        with pytest.raises(WorkerError, match="two workers died while loading the model"):
            list(run_job(job, ["cpu", "cpu"]))
    finally:
        stop.set()
        killer.join()


@pytest.mark.usefixtures("quick_workers")
def test_an_error_in_a_worker_is_the_users(job, model_folder, tmp_path):
    from dataclasses import replace

    with pytest.raises(ModelError, match="no config.json"):
        list(run_job(replace(job, model_name=str(tmp_path)), ["cpu", "cpu"]))
    assert not (tmp_path / "out").exists()
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("quick_workers")
def test_workers_that_are_no_longer_wanted_end(job):
    events = run_job(job, ["cpu", "cpu"])
    assert isinstance(next(events), Ready)
    assert multiprocessing.active_children()
    events.close()
    assert not multiprocessing.active_children()


def test_interrupts_are_for_the_parent(job):
    before = signal.getsignal(signal.SIGINT)
    n_finished = 0
    for event in run_job(job, ["cpu", "cpu"]):
        if isinstance(event, Ready):
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGINT)
        n_finished += isinstance(event, Finished)
    assert n_finished == 8 * 5
    assert signal.getsignal(signal.SIGINT) is before


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_devices("auto", None, None) == ("auto",)
    assert choose_devices("cpu", None, 3) == ("cpu",) * 3
    for num_gpus, expected in ((1, "1 GPU"), (2, "2 GPUs"), (-1, "all GPUs")):
        with pytest.raises(InputError, match=f"expected {expected}, got none"):
            choose_devices("auto", num_gpus, None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_devices("auto", -1, None) == choose_devices("auto", 2, 2) == ("cuda:0", "cuda:1")
    assert choose_devices("auto", None, None) == choose_devices("auto", 1, None) == ("cuda:0",)
    assert choose_devices("auto", None, 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert choose_devices("cuda:1", None, 2) == ("cuda:1", "cuda:1")
    with pytest.raises(InputError, match="expected 3 GPUs, got 2; use num_gpus=2"):
        choose_devices("auto", 3, None)
    for options, message in (
        (("auto", 0, None), "or -1 for all, got 0"),
        (("auto", -2, None), "or -1 for all, got -2"),
        (("auto", None, 0), "expected `workers` to be 1 or more, got 0"),
        (("auto", 2, 1), "num_gpus=2 and workers=1"),
        (("cpu", 2, None), "num_gpus=2 and device=cpu"),
    ):
        with pytest.raises(InputError, match=message):
            choose_devices(*options)
