"""Timing several things side by side, and saying what machine they ran on."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["in_turns", "machine", "medians"]


def in_turns(work: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, so many times, in turns so that a busy moment of the machine hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            start = _now()
            run()
            taken[name].append(_now() - start)
    return taken


def medians(work: Mapping[str, Callable[[], object]], repeats: int, budget: float = 120.0) -> dict[str, float]:
    """Median seconds of each, taken in turns so that a busy moment of the machine hits all of them.

    One round of warm-up, unless that alone takes half the `budget` (seconds): a slow thing needs none. Turns end early,
    after at least one, when the budget is spent.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    started = time.perf_counter()
    for turn in range(repeats + 1):
        for name, run in work.items():
            start = _now()
            run()
            taken[name].append(_now() - start)
        spent = time.perf_counter() - started
        if turn == 0 and spent < budget / 2:
            for times in taken.values():
                times.clear()
        elif spent > budget:
            break
    return {name: statistics.median(times) for name, times in taken.items()}


def machine() -> list[str]:
    """What the figures depend on, one line each."""
    lines = [
        f"{_processor()}, {os.cpu_count()} cores, torch on {torch.get_num_threads()} threads",
        f"Python {platform.python_version()}, torch {torch.__version__}, transformers {version('transformers')}",
    ]
    if torch.cuda.is_available():
        lines.append(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return lines


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
