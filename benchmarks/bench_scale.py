"""What many machines cost: how busy a schedule keeps them, and how many bytes travel and are stored.

    python benchmarks/bench_scale.py [--units 10000] [--workers 100]

The schedule is that of every run with an executor (`keepmap.core.executors.spread`), on workers with a simulated clock.
The bytes are those of real comparisons on the embedded model, as pickle and the disk have them.
"""

import argparse
import contextlib
import io
import pickle
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import keepmap
from keepmap.core.executors.spread import Spread
from keepmap.core.processes import Crew, JobDone
from keepmap.core.runs.records import write_record
from report import Report
from simulated_cluster import Cluster, Times

TIMES = Times(load=30.0, restart=20.0, between_deaths=3600.0, handling=0.1)
"""A model of some GB; machines that live for an hour; seven records, each synced to a disk."""


def seconds_of_units(n: int, mean: float = 20.0, spread: float = 0.8, seed: int = 0) -> list[float]:
    """As texts have lengths: log-normal."""
    draws = random.Random(seed)
    values = [draws.lognormvariate(0.0, spread) for _ in range(n)]
    return [mean * n * value / sum(values) for value in values]


def simulated(units: list[float], n_workers: int, times: Times, *, sorts: bool = True) -> Cluster:
    """The cluster after the run."""
    cluster = Cluster(n_workers, times)
    crew = Crew(set_up=_nothing, work=_nothing, threads=1, describe=str, advice="-", parts=())
    with Spread(cluster, crew, None, wait=cluster.wait) as spread:
        done = sum(isinstance(event, JobDone) for event in spread.events(units, units if sorts else None))
    assert done == len(units)
    return cluster


def _nothing(*arguments: Any) -> Any:
    raise AssertionError("the clock is simulated, and nobody works")


class Counting(Executor):
    """Does calls here, and counts what would travel for them.

    Attributes:
        calls, replies: bytes of each.
    """

    slots = 1

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.replies: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Do it now."""
        future: Future[Any] = Future()
        self.calls.append(len(pickle.dumps((fn, args))))
        reply = fn(*args)
        self.replies.append(len(pickle.dumps(reply)))
        future.set_result(reply)
        return future


def bytes_of(n_tokens: int, n_samples: int, folder: Path) -> list[str]:
    """A row: what travels and is stored for samples of this length, for each million of tokens and each method."""
    ids = random.Random(0)
    lines = ["".join(chr(ids.randrange(97, 123)) for _ in range(8 * n_tokens)) for _ in range(n_samples)]
    texts = folder / f"texts-{n_tokens}"
    texts.mkdir()
    for number, line in enumerate(lines):
        (texts / f"{number:03}.txt").write_text(line)
    counting, out = Counting(), folder / f"out-{n_tokens}"
    names = ["streaming_llm", "random", "key_norm"]
    with contextlib.redirect_stdout(io.StringIO()):
        keepmap.compare_compression_methods(
            texts,
            methods=names,
            density=0.2,
            sliding_window_size=16,
            max_length=n_tokens,
            output_dir=out,
            executor=counting,
            visualize_first_sample=False,
            quiet=True,
        )
    records = [path.stat().st_size for path in (out / "samples").iterdir()]
    keep_maps = [path.stat().st_size for path in out.glob("*_keepmap.safetensors")]
    # The first call is for the tokens of all texts, and the first sample's share brings its KeepMaps.
    million = n_tokens * (n_samples - 1) / 1e6
    n_methods = len(names) + 2
    return [
        f"{n_tokens:,}",
        f"{sum(counting.calls[2:]) / million / n_methods:,.0f}",
        f"{sum(counting.replies[2:]) / million / n_methods:,.0f}",
        f"{sum(records) / (n_tokens * n_samples / 1e6) / n_methods:,.0f}",
        f"{sum(keep_maps) / len(keep_maps) / n_tokens:,.0f}",
    ]


def milliseconds_of_a_record(folder: Path, n: int = 50) -> float:
    """Written, and on the disk."""
    started = time.perf_counter()
    for number in range(n):
        write_record(folder / f"{number}.json", "run", {"content": "x" * 400})
    return 1000 * (time.perf_counter() - started) / n


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--samples", type=int, default=4)
    options = parser.parse_args()
    report = Report("Scale")
    units = seconds_of_units(options.units)
    rows = []
    for what, between_deaths, sorts in (
        ("no worker dies", 1e12, True),
        ("each dies once in an hour", 3600.0, True),
        ("the same, in the order of the data", 3600.0, False),
        ("each dies once in ten minutes", 600.0, True),
    ):
        times = replace(TIMES, between_deaths=between_deaths)
        cluster = simulated(units, options.workers, times, sorts=sorts)
        rows.append([what, str(cluster.deaths), f"{cluster.now:,.0f} s", f"{100 * cluster.busy():.1f} %"])
    report.table(
        f"{options.units:,} units of 20 s on the mean, {options.workers} workers, simulated",
        ["", "deaths", "takes", "busy"],
        rows,
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = [bytes_of(size, options.samples, Path(folder)) for size in options.sizes]
        milliseconds = milliseconds_of_a_record(Path(folder))
    report.table(
        "Bytes for each million of tokens and each method (both baselines count)",
        ["tokens of a sample", "to workers", "from workers", "records", "KeepMap, per token of the first sample"],
        rows,
    )
    report.say(
        "", f"A record is written and on the disk in {milliseconds:.1f} ms: {1000 / milliseconds:,.0f} in a second."
    )


if __name__ == "__main__":
    main()
