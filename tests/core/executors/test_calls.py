"""A worker sets itself up once for a run, and tells of errors instead of raising them."""

import os
import threading
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from keepmap.core.executors.calls import Call, answer, forget, provide
from keepmap.core.joining.plugins import plugins, unload_plugins
from keepmap.errors import InputError
from tests.core.executors.jobs import crew

PLUGIN = """
import keepmap
@keepmap.figure(keepmap.KeepMap)
def joined_by_a_call(keep_map): ...
"""


def call(folder: Path, job: Any, run: str = "run", **options: Any) -> Call:
    return replace(Call(run=run, crew=crew(torch.get_num_threads()), argument=folder, plugins=(), job=job), **options)


def test_it_is_set_up_once_for_a_run_and_only_the_last_one_is_kept(tmp_path: Path) -> None:
    for run, n_times in (("first", 1), ("first", 1), ("second", 2), ("first", 3)):
        reply = answer(call(tmp_path, "a", run))
        assert reply.sent == (("begun", "a"), ("a", torch.get_num_threads())) and reply.error is None
        assert len(list(tmp_path.iterdir())) == n_times
    forget("first")
    answer(call(tmp_path, "a", "first"))
    assert len(list(tmp_path.iterdir())) == 4
    forget("first")


def test_threads_that_come_together_are_set_up_once(tmp_path: Path) -> None:
    threads = [threading.Thread(target=answer, args=(call(tmp_path, "a", "together"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    forget("together")
    assert len(list(tmp_path.iterdir())) == 1


def test_tools_that_were_provided_are_used(tmp_path: Path) -> None:
    provide("provided", (tmp_path, 0))
    assert answer(call(tmp_path, "a", "provided")).sent[-1][0] == "a"
    assert not list(tmp_path.iterdir())
    forget("provided")


def test_errors_are_values_and_what_was_sent_before_is_there(tmp_path: Path) -> None:
    reply = answer(call(tmp_path, "fails"))
    assert isinstance(reply.error, InputError) and str(reply.error) == "what is wrong"
    assert reply.sent == (("begun", "fails"),)
    reply = answer(call(tmp_path, "bug"))
    assert reply.error is None and "KeyError: 'a bug'" in reply.details
    forget("run")


def test_a_job_has_the_threads_of_the_run_and_leaves_those_of_the_process(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    reply = answer(call(tmp_path, "a", crew=crew(before + 1)))
    assert reply.sent[-1] == ("a", before + 1) and torch.get_num_threads() == before
    forget("run")


def test_plugins_are_loaded(tmp_path: Path) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN)
    try:
        assert answer(call(tmp_path, "a", plugins=(file,))).error is None
        assert file in plugins()
    finally:
        unload_plugins()
        forget("run")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_has_no_tools_and_refuses_threads_that_would_never_answer(tmp_path: Path) -> None:
    provide("run", (tmp_path, 0))
    context = get_context("fork")
    replies = context.SimpleQueue()
    child = context.Process(target=lambda: [replies.put(answer(call(tmp_path, "a", crew=crew(n)))) for n in (2, 1)])
    child.start()
    refused, alone = replies.get(), replies.get()
    child.join()
    forget("run")
    assert "with 2 threads" in str(refused.error)
    assert 'mp_context=multiprocessing.get_context("spawn")' in str(refused.error)
    assert len(alone.sent) == 2 and len(list(tmp_path.iterdir())) == 1, "a fork sets itself up"
