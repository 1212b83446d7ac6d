"""Moments at which a run is ended, whatever the verb: begin it, wait for records, kill it, compare what it left.

`make chaos` repeats it for longer: KEEPMAP_CHAOS says how many moments are tried.
"""

import os
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.starts import STDERR, start
from tests.forked import Forked

__all__ = [
    "MOMENTS",
    "STDERR",
    "TIMED",
    "Verb",
    "begin",
    "fill_the_disk",
    "finish",
    "kill_at_any_time",
    "kill_at_moments",
    "remove_in_the_middle",
    "terminate_in_the_middle",
]

MOMENTS = int(os.environ.get("KEEPMAP_CHAOS", "3"))
LATEST = 3.0 if MOMENTS > 10 else 0.03
"""Seconds after a record at which a run is killed at the latest."""
TIMED = {"timings.json", "index.jsonl", "run.json", ".lock"}
"""Files that may differ from run to run."""


@dataclass(frozen=True)
class Verb:
    """A command and what its run makes.

    Attributes:
        words: of the command line, which work in any folder that holds its data.
        out: its folder, below the one that it is run in.
        records: a pattern of the paths of its records, below `out`.
        writer: what writes a record, as its caller's module names it: "keepmap.kv.comparison.results.write_record".
    """

    words: Sequence[str]
    out: str
    records: str
    writer: str

    def recorded(self, place: Path) -> dict[Path, int]:
        """Each record, and when it was written."""
        return {path: path.stat().st_mtime_ns for path in (place / self.out).glob(self.records)}

    def forget(self, place: Path) -> None:
        """Remove what it has made, so that it can begin anew."""
        shutil.rmtree(place / self.out)

    def results(self, place: Path) -> dict[str, bytes]:
        """What is to have the same bytes whatever happened, by its path in `out`."""
        out = place / self.out
        paths = [path for path in out.rglob("*") if path.is_file() and path.name not in TIMED]
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def begin(verb: Verb, place: Path, clock: str = "real", largest: int | None = None) -> Forked:
    """Start the command in `place`; no file may have more than `largest` bytes."""
    return start(verb.words, place, writer=verb.writer, clock=clock, largest=largest)


def finish(verb: Verb, place: Path) -> None:
    """Start it, and wait until it is done."""
    process = begin(verb, place)
    assert process.wait(timeout=200) == 0, (place / STDERR).read_text()
    assert verb.results(place)


def kill_at_moments(verb: Verb, place: Path, calm: dict[str, bytes], seed: int, most: int = 8) -> None:
    """Kill it at random moments, up to `most` records apart; no record is made again, and the end is the calm run's.

    What is finished before that begins anew.
    """
    rng, kept = random.Random(seed), dict[Path, int]()
    for _ in range(MOMENTS):
        n_more = rng.randrange(most)
        process = begin(verb, place, clock=rng.choice(["real", "jump"]))
        deadline = time.monotonic() + 120
        while process.poll() is None and len(verb.recorded(place)) < len(kept) + n_more and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(rng.random() ** 4 * LATEST)  # soon after the record; and while results are drawn and written
        assert process.poll() in (None, 0), (place / STDERR).read_text()
        process.kill()
        process.wait(timeout=30)
        now = verb.recorded(place)
        assert {path: now[path] for path in kept} == kept, "what counted was done again"
        _wait_for_group(process.pid)
        kept = verb.recorded(place)
        if process.poll() == 0:
            assert verb.results(place) == calm
            verb.forget(place)
            kept = {}
    finish(verb, place)
    assert {path: stamp for path, stamp in verb.recorded(place).items() if path in kept} == kept
    assert verb.results(place) == calm


def kill_at_any_time(verb: Verb, place: Path, calm: dict[str, bytes], seed: int) -> None:
    """Kill what has no records at random moments of all that it takes; the end is the calm run's."""
    rng, begun = random.Random(seed), time.monotonic()
    finish(verb, place)
    seconds = time.monotonic() - begun
    assert verb.results(place) == calm
    verb.forget(place)
    for _ in range(MOMENTS):
        process = begin(verb, place, clock=rng.choice(["real", "jump"]))
        time.sleep(rng.random() * seconds)
        assert process.poll() in (None, 0), (place / STDERR).read_text()
        process.kill()
        process.wait(timeout=30)
        if process.poll() == 0:
            assert verb.results(place) == calm
            verb.forget(place)
    finish(verb, place)
    assert verb.results(place) == calm


def terminate_in_the_middle(verb: Verb, place: Path, calm: dict[str, bytes]) -> None:
    """Ask it to end once a record is there: the exit code says so, nothing is half-written, the next start goes on."""
    process = begin(verb, place)
    deadline = time.monotonic() + 120
    while not verb.recorded(place):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.003)
    process.terminate()
    assert process.wait(timeout=120) == 143
    assert "Traceback" not in (place / STDERR).read_text()
    assert not list(place.rglob("*.part"))
    kept = verb.recorded(place)
    finish(verb, place)
    assert {path: stamp for path, stamp in verb.recorded(place).items() if path in kept} == kept
    assert verb.results(place) == calm


def _wait_for_group(pid: int) -> None:
    """Workers end within five seconds of the process that began them."""
    deadline = time.monotonic() + 5
    while (left := _running(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, f"a worker is left: {left}"


def _running(group: int) -> list[str]:
    """What runs in a group of processes; one that has ended and that nobody has waited for does not."""
    running = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().rpartition(")")
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        state, _, of_group, *_ = rest.split()
        if int(of_group) == group and state not in "ZX":
            running.append(f"{name}) {state} {words}")
    return running


def remove_in_the_middle(verb: Verb, place: Path, calm: dict[str, bytes], folder: str, after: int) -> None:
    """Take away a folder of `out` when `after` records are there: an error, and the next start ends as the calm run."""
    process = begin(verb, place)
    deadline = time.monotonic() + 120
    while len(verb.recorded(place)) < after:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    gone = place / "gone"  # at once, whatever is being written there
    (place / verb.out / folder).rename(gone)
    shutil.rmtree(gone)
    assert process.wait(timeout=120) == 2
    error = (place / STDERR).read_text()
    assert "Traceback" not in error and error.splitlines()[-1].startswith("error: ")
    finish(verb, place)
    assert verb.results(place) == calm


def fill_the_disk(verb: Verb, place: Path, calm: dict[str, bytes], size: int) -> None:
    """No file grows beyond `size` bytes: an error, nothing half-written, and the next start ends as the calm run."""
    process = begin(verb, place, largest=size)
    assert process.wait(timeout=120) == 2
    error = (place / STDERR).read_text()
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("error: cannot write ") and "File too large" in error
    assert not list(place.rglob("*.part"))
    finish(verb, place)
    assert verb.results(place) == calm
