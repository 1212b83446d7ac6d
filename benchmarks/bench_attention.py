"""What an AttentionProfile costs: against `output_attentions` with eager attention, and against a dense forward.

Everything is timed in one run on one machine, in turns, on random weights of the embedded model's shape (and, where
there is a CUDA device, of Llama-3.1-8B's). All queries, layers and heads are profiled. Memory is measured in processes
of their own. Figures that fall short of their goal are printed like the others.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import keepmap
from report import Goal, Report, write_part
from shapes import LLAMA_8B, TINY, random_llama, random_tokens
from timing import machine, medians

HERE = Path(__file__).resolve().parent
LONGEST_EAGER = 4096
"""Beyond this, eager attention needs more memory than a small machine has."""


def time_lengths(report: Report, sizes: Sequence[int], repeats: int) -> list[Goal]:
    """The model's own forward, the profile and the eager weights at every length."""
    model, eager = random_llama(TINY), random_llama(TINY)
    eager.set_attn_implementation("eager")
    language_model = keepmap.load_language_model(model, device="cpu")
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for n in sizes:
        ids = random_tokens(TINY, n)
        work: dict[str, Callable[[], object]] = {
            "dense": lambda ids=ids: _forward(model, ids),  # type: ignore[misc]
            "profile": lambda ids=ids: keepmap.profile_attention(language_model, ids),  # type: ignore[misc]
        }
        if n <= LONGEST_EAGER:
            work["eager"] = lambda ids=ids: _forward(eager, ids, output_attentions=True)  # type: ignore[misc]
        seconds = medians(work, repeats)
        share = seconds["profile"] / seconds["dense"]
        row = [f"{n:,}", f"{seconds['dense']:.3f}", f"{seconds['profile']:.3f}", f"{share:.2f}", "", "", ""]
        if n == 16384:
            goals.append(Goal("profile / dense forward, 16,384 tokens", share, "x", "<=", 3))
        if "eager" in seconds:
            gain = seconds["eager"] / seconds["profile"]
            row[4:] = [f"{seconds['eager']:.3f}", f"{gain:.2f}", f"{_difference(language_model, eager, ids):.0e}"]
            if n == 4096:
                goals.append(Goal("output_attentions with eager / profile, 4,096 tokens", gain, "x", ">=", 3))
        rows.append(row)
        print(f"  {n:,} tokens done", file=sys.stderr, flush=True)
    head = ["tokens", "dense, s", "profile, s", "profile / dense", "eager weights, s", "/ profile", "rows differ by"]
    report.table("One text, all layers, heads and queries, CPU", head, rows)
    return goals


def measure_memory(report: Report, both: int, alone: int) -> list[Goal]:
    """What each takes beside the model, in a process of its own."""
    rows: list[list[str]] = []
    peaks: dict[str, float] = {}
    for how, n in (("eager", both), ("profile", both), ("profile", alone)):
        command = [sys.executable, str(HERE / "attention_probe.py"), "--n", str(n), "--how", how]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            message = (done.stderr.strip() or "no message").splitlines()[-1]
            raise SystemExit(f"error: {shlex.join(command)} failed: {message}")
        values = json.loads(done.stdout.splitlines()[-1])
        before, peak = values["before"] / 1e9, values["peak"] / 1e9
        peaks[f"{how} {n}"] = peak - before
        rows.append([how, f"{n:,}", f"{before:.2f}", f"{peak:.2f}", f"{peak - before:.3f}"])
        if (how, n) == ("profile", 65536):
            peaks["whole"] = peak
    report.table("Memory, CPU", ["what", "tokens", "before, GB", "at its peak, GB", "the pass, GB"], rows)
    goals = []
    if both == 4096:  # a small profile may take no memory that is measured
        gain = peaks[f"eager {both}"] / peaks[f"profile {both}"]
        goals.append(Goal("memory of eager weights / profile, 4,096 tokens", gain, "x", ">=", 10))
    if "whole" in peaks:
        goals.append(Goal("memory of the whole process, 65,536 tokens", peaks["whole"], " GB", "<=", 3))
    return goals


def time_command(report: Report, repeats: int) -> list[Goal]:
    """`python visualize_attention.py` as it stands, from its start to its end: 44 figures of four layers."""
    seconds = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, str(HERE.parent / "visualize_attention.py")],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds.append(time.perf_counter() - begun)
            if done.returncode:
                raise SystemExit(f"error: visualize_attention.py failed: {done.stderr.strip()}")
            drawn = len(list(Path(folder).rglob("*.png")))
    report.table(
        "The command: four layers, five histories",
        ["figures", "seconds"],
        [[f"{drawn}", f"{statistics.median(seconds):.1f}"]],
    )
    return [Goal("python visualize_attention.py", statistics.median(seconds), " s", "<=", 20)]


def time_cuda(report: Report, sizes: Sequence[int], repeats: int) -> None:
    """Llama-3.1-8B's shape in bfloat16 on a GPU."""
    model = random_llama(LLAMA_8B, "cuda", torch.bfloat16)
    language_model = keepmap.load_language_model(model)
    rows = []
    for n in sizes:
        ids = random_tokens(LLAMA_8B, n).to("cuda")
        seconds = medians(
            {
                "dense": lambda ids=ids: _forward(model.base_model, ids),  # type: ignore[misc]
                "profile": lambda ids=ids: keepmap.profile_attention(language_model, ids, hold=False),  # type: ignore[misc]
            },
            repeats,
        )
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        keepmap.profile_attention(language_model, ids, hold=False)
        peak = (torch.cuda.max_memory_allocated() - before) / 1e9
        share = seconds["profile"] / seconds["dense"]
        rows.append([f"{n:,}", f"{seconds['dense']:.3f}", f"{seconds['profile']:.3f}", f"{share:.2f}", f"{peak:.2f}"])
    head = ["tokens", "dense, s", "profile, s", "profile / dense", "profile, GB beside the model"]
    report.table("Llama-3.1-8B's shape, bfloat16, CUDA", head, rows)


@torch.no_grad()
def _forward(model: Any, ids: torch.Tensor, **options: Any) -> object:
    return model(ids[None], use_cache=False, **options)


@torch.no_grad()
def _difference(language_model: Any, eager: Any, ids: torch.Tensor) -> float:
    """The largest difference of the last queries' rows."""
    profile = keepmap.profile_attention(language_model, ids, queries="last")
    weights = eager(ids[None], output_attentions=True, use_cache=False).attentions
    return float((profile.rows[:, :, 0] - torch.cat(weights)[:, :, -1]).abs().max())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096, 16384], help="text lengths")
    parser.add_argument("--memory-size", type=int, default=4096, help="length of the text for both ways")
    parser.add_argument("--long-size", type=int, default=65536, help="length of the text for the profile alone")
    parser.add_argument("--cuda-sizes", type=int, nargs="+", default=[8192, 32768], help="lengths on a CUDA device")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each, after one that is not")
    parser.add_argument("--command-repeats", type=int, default=3, help="timed runs of visualize_attention.py")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    report = Report("What an attention profile costs")
    report.say(*machine())
    goals = time_lengths(report, options.sizes, options.repeats)
    goals += measure_memory(report, options.memory_size, options.long_size)
    goals += time_command(report, options.command_repeats)
    if torch.cuda.is_available():
        time_cuda(report, options.cuda_sizes, options.repeats)
    else:
        report.say("", "No CUDA device here: Llama-3.1-8B's shape was not timed.")
    report.goals(goals)
    if options.write:
        write_part(report, "bench_attention.py", sys.argv[1:] if arguments is None else arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
