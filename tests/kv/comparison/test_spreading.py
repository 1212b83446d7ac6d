"""Samples by an executor's workers: the same results, files from this process alone, and one line of what is wrong."""

import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import keepmap
from keepmap.errors import InputError, ModelError
from keepmap.kv.comparison.rows import method_keys
from keepmap.kv.comparison.session import Finished, Job, Passed, open_session
from keepmap.kv.comparison.spreading import shares_of, spread_job
from keepmap.kv.comparison.workers import Ready, nothing_done, run_job
from tests.kv.comparison.jobs import job as make_job

METHODS = "streaming_llm random_validation h2o"
TEXTS = ["The quick brown fox and the lazy dog; " * 3, "0123456789" * 9]


class Here(Executor):
    """Does each call when it is given, after a change of it."""

    slots = 2

    def __init__(self, change: Any = lambda call: call) -> None:
        self._change = change

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(self._change(args[0])))
        return future


@pytest.fixture
def job(model_folder: Path, data_file: Path, tmp_path: Path) -> Job:
    return make_job(model_folder, data_file, tmp_path / "out", METHODS)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_files_are_those_of_one_process(job: Job, tmp_path: Path) -> None:
    list(run_job(job, ["cpu"]))
    spread = replace(job, output_dir=tmp_path / "spread")
    events = list(spread_job(Here(), spread, "cpu", nothing_done))
    assert files(spread.output_dir) == files(job.output_dir) and len(files(job.output_dir)) == 4 * 5 + 3 + 5
    assert isinstance(events[0], Ready) and sum(isinstance(event, Passed) for event in events) == 4 * 5
    finished = [event for event in events if isinstance(event, Finished)]
    assert [event.keep_map is not None for event in finished] == [
        event.result.sample == 0 and not event.result.method.startswith("baseline") for event in finished
    ]


def test_what_is_there_is_not_done_again(job: Job) -> None:
    done = dict.fromkeys(range(4), frozenset({"baseline_no_chunking", "baseline", "h2o"}))
    done[2] = frozenset({"baseline_no_chunking", "baseline", "h2o", "streaming_llm", "random_validation"})
    events = spread_job(Here(), job, "cpu", lambda facts: done)
    keys = [(event.result.sample, event.result.method) for event in events if isinstance(event, Finished)]
    assert sorted(keys) == [(n, key) for n in (0, 1, 3) for key in ("random_validation", "streaming_llm")]


@pytest.mark.parametrize(("slots", "n_shares"), [(None, 4), (4, 4), (5, 8), (16, 16), (999, 16)])
def test_more_workers_than_samples_share_the_methods_of_each(job: Job, slots: int | None, n_shares: int) -> None:
    session = open_session(job, "cpu")
    shares = shares_of(session.facts, session.samples, {}, slots)
    keys = frozenset(method_keys(session.facts))
    by_sample = [(share.sample.index, key) for share in shares for key in keys - share.done]
    assert len(shares) == n_shares and sorted(by_sample) == [(n, key) for n in range(4) for key in sorted(keys)]
    checked = {"streaming_llm", "random_validation"}
    assert all(checked <= keys - share.done or not checked & (keys - share.done) for share in shares)


def test_another_model_or_version_in_a_worker_is_refused(job: Job) -> None:
    def other_hash(call: Any) -> Any:
        hashes = {"model": "other", "device": "cpu"}
        return replace(call, job=replace(call.job, hashes=hashes)) if hasattr(call.job, "hashes") else call

    with pytest.raises(ModelError, match="the model on .* is not the one that the run was begun with"):
        list(spread_job(Here(other_hash), job, "cpu", nothing_done))

    def other_version(call: Any) -> Any:
        return replace(call, argument=replace(call.argument, versions={"keepmap": "0.0.1"}))

    with pytest.raises(InputError, match=r"has keepmap .*, and the run was begun with 0\.0\.1; install the same"):
        list(spread_job(Here(other_version), job, "cpu", nothing_done))
    with pytest.raises(ModelError, match='on .*: model "./nowhere/": no such folder'):
        list(spread_job(Here(), replace(job, model_name="./nowhere/"), "cpu", nothing_done))


def test_threads_of_this_process_share_a_loaded_model(model_folder: Path) -> None:
    model = keepmap.load_language_model(model_folder, device="cpu")
    options = {"density": 0.3, "window": 16, "mode": "once"}
    expected = keepmap.compare(model, TEXTS, ["streaming_llm", "h2o"], **options)
    shares: list[float] = []
    with ThreadPoolExecutor(3) as executor:
        comparison = keepmap.compare(
            model, TEXTS, ["streaming_llm", "h2o"], **options, executor=executor, progress=shares.append
        )
    assert comparison == expected and dict(comparison.keep_maps) == dict(expected.keep_maps)
    assert list(comparison.keep_maps) == ["streaming_llm", "h2o"] and shares == sorted(shares) and shares[-1] == 1.0


def test_processes_open_a_model_by_its_name_and_get_no_loaded_one(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model_folder.parent)
    name, options = model_folder.name, {"density": 0.3, "window": 16}
    expected = keepmap.compare(name, TEXTS, "streaming_llm", **options)
    threads = torch.get_num_threads()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        assert keepmap.compare(name, TEXTS, "streaming_llm", **options, executor=executor) == expected
        with pytest.raises(InputError, match="other processes, which a loaded model does not reach; give `model`"):
            keepmap.compare(keepmap.load_language_model(name), TEXTS, "streaming_llm", **options, executor=executor)
    assert torch.get_num_threads() == threads
