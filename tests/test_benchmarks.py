"""The benchmark runs, compares equals with equals, and says what it found: on texts too short to time anything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SIZES = ["--sizes", "160", "--methods-size", "170", "--memory-size", "300", "--cuda-sizes", "200", "--repeats", "1"]


def test_the_benchmark_times_equal_results() -> None:
    command = [sys.executable, "benchmarks/bench_evict.py", *SIZES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = {}
    for line in done.stdout.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.setdefault(cells[0], cells)
    assert float(rows["160"][rows["tokens"].index("logits differ by")]) < 1e-4
    assert {"`random`", "`kvzap`", "`h2o`", "all eight", "300"} <= rows.keys()


@pytest.mark.parametrize("python", [sys.executable, "no-such-python"])
def test_a_missing_kvpress_is_one_line(python: str) -> None:
    command = [sys.executable, "benchmarks/bench_evict.py", *SIZES, "--kvpress-python", python]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: --kvpress-python {python} cannot import kvpress; "
        "benchmarks/kvpress_decode.py says how to make an environment that can"
    ]


def test_the_profiles_benchmark_times_equal_results() -> None:
    sizes = ["--sizes", "160", "--memory-size", "200", "--long-size", "300", "--cuda-sizes", "200", "--repeats", "1"]
    command = [sys.executable, "benchmarks/bench_attention.py", *sizes]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    head = next(row for row in rows if "rows differ by" in row)
    first = next(row for row in rows if row[0] == "160")
    assert float(first[head.index("rows differ by")]) < 1e-5
    assert sum(row[0] == "profile" for row in rows) == 2
