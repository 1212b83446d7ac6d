"""Whatever ends a comparison, the next start goes on, and the bytes are those of a calm run.

`make chaos` repeats it for longer: KEEPMAP_CHAOS says how many moments are tried.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COVERS = ("keepmap.core.runs.*",)
MOMENTS = int(os.environ.get("KEEPMAP_CHAOS", "3"))
TIMED = {"timings.json", "index.jsonl", "run.json", ".lock"}
WORKERS = ("1", "2")
STDERR = "stderr.txt"
SLOW = """
import sys, time
from keepmap.kv.comparison import results
write = results.write_record
def slowly(*arguments):
    time.sleep(0.02)
    write(*arguments)
results.write_record = slowly
if sys.argv[1] == "jump":
    real, start = time.time, time.time()
    time.time = lambda: start - 3e8 * (real() - start)
del sys.argv[1]
from keepmap.cli import main
sys.exit(main())
"""
"""The command with records that take a moment, so that many moments lie between two of them; or a clock that jumps."""


def arguments(model_folder: Path, workers: str) -> list[str]:
    options = ["--methods", "random", "streaming_llm", "h2o", "--sliding_window_size", "16", "--quiet"]
    return ["compare", "--data_path", "data.jsonl", "--model_name", str(model_folder), *options, "--workers", workers]


def begin(
    words: list[str], cwd: Path, clock: str = "real", before: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SLOW, clock, *words]
    with (cwd / STDERR).open("w") as stderr:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            preexec_fn=before,
            start_new_session=True,
        )


def results(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in TIMED]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def records(folder: Path) -> dict[Path, int]:
    """Each record, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in (folder / "samples").glob("sample_*.json")}


@pytest.fixture(scope="module")
def calm(model_folder, tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A folder with data, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("calm")
    texts = [f"{number}: " + "the quick brown fox and the lazy dog; " * 4 for number in range(6)]
    (folder / "data.jsonl").write_text("".join(json.dumps({"text": text[:120]}) + "\n" for text in texts))
    process = begin(arguments(model_folder, "1"), folder)
    assert process.wait(timeout=200) == 0
    return folder, results(folder / "comparison_results")


@pytest.fixture
def place(calm, tmp_path) -> Path:
    shutil.copy(calm[0] / "data.jsonl", tmp_path / "data.jsonl")
    return tmp_path


def finish(words: list[str], place: Path) -> None:
    process = begin(words, place)
    assert process.wait(timeout=200) == 0, (place / STDERR).read_text()


@pytest.mark.parametrize("workers", WORKERS)
def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(calm, place, model_folder, workers):
    rng, out, kept = random.Random(workers), place / "comparison_results", dict[Path, int]()
    words = arguments(model_folder, workers)
    for _ in range(MOMENTS):
        n_more = rng.randrange(1, 8)
        process = begin(words, place, clock=rng.choice(["real", "jump"]))
        deadline = time.monotonic() + 120
        while process.poll() is None and len(records(out)) < len(kept) + n_more and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(rng.random() * 0.03)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        now = records(out)
        assert {path: now[path] for path in kept} == kept, "what counted was done again"
        wait_for_group(process.pid)
        kept = records(out)
    finish(words, place)
    assert {path: stamp for path, stamp in records(out).items() if path in kept} == kept
    assert results(out) == calm[1]


def wait_for_group(pid: int) -> None:
    """Workers end within five seconds of the process that began them."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("a worker is left")


def test_a_folder_that_is_removed_in_the_middle(calm, place, model_folder):
    out, words = place / "comparison_results", arguments(model_folder, "1")
    process = begin(words, place)
    deadline = time.monotonic() + 120
    while len(records(out)) < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    shutil.rmtree(out / "samples")
    assert process.wait(timeout=120) == 2
    error = (place / STDERR).read_text()
    assert "Traceback" not in error and error.splitlines()[-1].startswith("error: ")
    finish(words, place)
    assert results(out) == calm[1]


@pytest.mark.parametrize("size", [900, 9000], ids=["at the beginning", "at the end"])
def test_a_disk_that_is_full(calm, place, model_folder, size):
    out, words = place / "comparison_results", arguments(model_folder, "1")

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = begin(words, place, before=small_files)
    assert process.wait(timeout=120) == 2
    error = (place / STDERR).read_text()
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("error: cannot write ") and "File too large" in error
    assert not list(place.rglob("*.part"))
    finish(words, place)
    assert results(out) == calm[1]
