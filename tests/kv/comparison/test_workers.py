"""Samples spread over processes: what dies is done again, what fails is said, what is found is the same."""

import multiprocessing
import os
import signal
import threading

import pytest
import torch

from keepmap.errors import InputError, ModelError, WorkerError
from keepmap.kv.comparison.plan import plan_methods
from keepmap.kv.comparison.session import Finished
from keepmap.kv.comparison.workers import Died, Job, Ready, choose_devices, run_job


@pytest.fixture
def job(model_folder, data_file, tmp_path) -> Job:
    lines = data_file.read_text().splitlines()
    data_file.write_text("\n".join(lines * 2))
    plan = plan_methods("random streaming_llm h2o", sliding_window_size=16, h2o_local_window_size=32)
    out = tmp_path / "out"
    return Job(str(data_file), "text", None, None, str(model_folder), "auto", None, "mlp", plan, 1, 0, out)


def kill_workers() -> None:
    for child in multiprocessing.active_children():
        if child.name.startswith("keepmap-"):
            child.kill()


def by_key(events) -> dict:
    return {(one.result.sample, one.result.method): one.result for one in events if isinstance(one, Finished)}


def test_a_killed_worker_is_reported_and_its_sample_done_again(job):
    expected = by_key(run_job(job, ["cpu"]))
    events = []
    for event in run_job(job, ["cpu", "cpu"]):
        if isinstance(event, Finished) and not any(isinstance(one, Finished) for one in events):
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


def test_a_sample_that_kills_two_workers_ends_the_run(job):
    def kill_at_every_result() -> None:
        for event in run_job(job, ["cpu", "cpu"]):
            if isinstance(event, Finished):
                kill_workers()

    with pytest.raises(WorkerError, match=r"two workers died on sample \d+ \(the last with exit code -9\)"):
        kill_at_every_result()
    assert not multiprocessing.active_children()


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


def test_an_error_in_a_worker_is_the_users(job, model_folder, tmp_path):
    from dataclasses import replace

    with pytest.raises(ModelError, match="no config.json"):
        list(run_job(replace(job, model_name=str(tmp_path)), ["cpu", "cpu"]))
    assert not (tmp_path / "out").exists()
    assert not multiprocessing.active_children()


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
    for num_gpus, said in ((1, "1 GPU was"), (2, "2 GPUs were"), (-1, "all GPUs were")):
        with pytest.raises(InputError, match=f"{said} asked for, none found"):
            choose_devices("auto", num_gpus, None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_devices("auto", -1, None) == choose_devices("auto", 2, 2) == ("cuda:0", "cuda:1")
    assert choose_devices("auto", None, None) == choose_devices("auto", 1, None) == ("cuda:0",)
    assert choose_devices("auto", None, 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert choose_devices("cuda:1", None, 2) == ("cuda:1", "cuda:1")
    with pytest.raises(InputError, match="3 GPUs were asked for, 2 found"):
        choose_devices("auto", 3, None)
    for options, message in (
        (("auto", 0, None), "--num_gpus 0 was asked for"),
        (("auto", -2, None), "--num_gpus -2 was asked for"),
        (("auto", None, 0), "--workers 0 was asked for"),
        (("auto", 2, 1), "--num_gpus 2 and --workers 1"),
        (("cpu", 2, None), "--num_gpus 2 and --device cpu"),
    ):
        with pytest.raises(InputError, match=message):
            choose_devices(*options)
