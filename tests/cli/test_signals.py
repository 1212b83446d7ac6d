"""A command that is ended from outside says nothing but how it ended, and leaves neither parts nor workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from keepmap.cli.guard import guarded
from keepmap.cli.signals import CLOSED_PIPE, Ended, ending_by_signals, open_streams, unwinding
from tests.forked import Forked

REPOSITORY = Path(__file__).parents[2]
CODE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from keepmap.cli import main; sys.exit(main())"
)
"""A shell that starts this test in the background leaves interrupts ignored, and programs inherit that."""


@pytest.fixture
def many(model_folder, tmp_path) -> list[str]:
    """A comparison of more texts than it can do in the time of a test."""
    texts = [f"{number}: " + "the quick brown fox; " * 11 for number in range(2000)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    options = ["--model_name", str(model_folder), "--methods", "random", "--output_dir", "out"]
    return ["compare", "--data_path", "data.jsonl", "--sliding_window_size", "16", *options]


def wait_for_results(process: Forked, folder: Path, n: int = 3) -> None:
    deadline = time.monotonic() + 200
    while len(list((folder / "out" / "samples").glob("*_random.json"))) < n:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def group_is_gone(process: Forked) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("name", "workers"), [("SIGTERM", "1"), ("SIGTERM", "2"), ("SIGHUP", "2")])
def test_a_signal_leaves_what_is_finished(many, tmp_path, name, workers):
    words = ["-c", CODE, *many, "--workers", workers]
    process = Forked(words, tmp_path, error="error.txt")
    wait_for_results(process, tmp_path)
    number = getattr(signal, name)
    os.killpg(process.pid, number)
    code, error = process.wait(timeout=60), (tmp_path / "error.txt").read_text(encoding="utf-8")
    assert (code, "Traceback" in error) == (128 + number, False)
    assert "of 2000 samples are finished" in error
    assert group_is_gone(process)
    assert not list(tmp_path.rglob("*.part"))
    assert json.loads((tmp_path / "out" / "comparison_summary.json").read_text())["complete"] is False


def test_workers_of_a_killed_process_end(many, tmp_path):
    process = Forked(["-c", CODE, *many, "--workers", "2"], tmp_path)
    wait_for_results(process, tmp_path)
    process.kill()
    process.wait(timeout=60)
    assert group_is_gone(process)


def test_a_pipe_that_nobody_reads_ends_it(many, tmp_path):
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *many], cwd=tmp_path, env=variables, encoding="utf-8", **pipes
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == CLOSED_PIPE
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("number", "after"), [(signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGTERM, 0.8), (signal.SIGINT, 1.5)]
)
def test_during_imports_nothing_is_said(tmp_path, number, after):
    ready = CODE.replace("from keepmap", "print('begun', flush=True)\nfrom keepmap")
    process = subprocess.Popen(
        [sys.executable, "-c", ready, "evaluate", "--goals", "7,2", "--episodes", "5000"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    time.sleep(after)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in error) == (128 + number, False)


def close(*handles: int) -> None:
    """As Python begins where a shell has closed them."""
    for handle in handles:
        os.close(handle)
        setattr(sys, ("stdin", "stdout", "stderr")[handle], None)


def test_streams_that_are_closed_take_nothing_from_files(many, tmp_path):
    words = ["-c", CODE, *many, "--max_samples", "1", "--no_visualize"]
    for handles in ((2,), (1, 2)):
        assert Forked(words, tmp_path, first=partial(close, *handles)).wait(timeout=120) == 0
        json.loads((tmp_path / "out" / "comparison_summary.json").read_text())
        shutil.rmtree(tmp_path / "out")
    line = " ".join(f"'{word}'" for word in [sys.executable, *words])
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(f"{line} <&- >&- 2>&-", shell=True, cwd=tmp_path, env=variables, check=False)
    assert done.returncode == 0
    json.loads((tmp_path / "out" / "comparison_summary.json").read_text())


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_by_signals(), unwinding():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(Ended) as ended:
                os.kill(os.getpid(), signal.SIGTERM)
        assert ended.value.code == 143
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_exit_codes():
    def ends(error: BaseException) -> int:
        def work() -> int:
            raise error

        return guarded(work)

    assert (ends(KeyboardInterrupt()), ends(Ended(signal.SIGTERM))) == (130, 143)
    with pytest.raises(SystemExit):
        ends(SystemExit(3))
    open_streams()
    assert sys.stdout is not None


DROPPED = """
import gc, signal, sys, time, weakref
from keepmap.cli.signals import Ended, ending_by_signals, unwinding

class Thing: pass

def end(*arguments):
    gc.callbacks.clear()
    signal.raise_signal(signal.SIGTERM)

with ending_by_signals():
    try:
        with unwinding():
            if sys.argv[1] == "weakref":
                thing = Thing()
                reference = weakref.ref(thing, end)
                del thing
            else:
                gc.callbacks.append(end)
                gc.collect()
            time.sleep(20)
            print("went on")
    except Ended as ended:
        print(ended.code)
"""


@pytest.mark.parametrize("callback", ["weakref", "gc"])
def test_a_signal_that_python_drops_in_a_callback_comes_once_more(callback: str) -> None:
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", DROPPED, callback]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("143\n", "", 0)
