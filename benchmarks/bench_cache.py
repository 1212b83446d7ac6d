"""What generating under eviction costs and saves on a real model, beside the plain cache of transformers.

Everything is timed in one run on one machine, in turns: SmolLM2 on Python's documentation, at density 0.2 with a window
of 128. Figures that fall short of their goal are printed like the others.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from transformers import Cache, DynamicCache

import keepmap
from bench_compare import DENSITY, WINDOW, documentation
from keepmap.kv.choosing import Threshold
from keepmap.kv.methods.baseline import Baseline
from keepmap.language_model import LanguageModel
from report import Goal, Report, write_part
from timing import machine, medians

HERE = Path(__file__).resolve().parent
METHODS = ("random", "h2o")
AIMS_OF_DECODING = {1024: 0.95, 8192: 1.9}
AIMS_OF_DECIDING = {"random": 0.05, "h2o": 0.15}
BLOCK = 1024
"""Tokens that the plain cache is given at once: as many as ours reads."""
LIMIT = "one token, the limit"
"""A plain cache with nothing to look at but what is decoded: no method can be faster than the model itself."""
TURN = 16
"""Tokens that each decodes before it is the next one's turn."""


def read_plain(language_model: LanguageModel, ids: torch.Tensor) -> DynamicCache:
    """The full cache of a text."""
    cache = DynamicCache()
    with torch.no_grad():
        for part in ids.split(BLOCK):
            language_model.model(part[None], past_key_values=cache, logits_to_keep=1)
    return cache


def read_evicting(language_model: LanguageModel, ids: torch.Tensor, method: str) -> keepmap.EvictingCache:
    """A cache that read a text under eviction."""
    return keepmap.compress(language_model, ids, method, density=DENSITY, window=WINDOW)


def undecided(cache: keepmap.EvictingCache) -> keepmap.EvictingCache:
    """A fork of the same entries that scores nothing from now on, and drops nothing."""
    fork = cache.fork()
    fork.terms = replace(fork.terms, method=Baseline(), rule=Threshold(float("-inf")))
    for layer in fork.layers:
        layer.given = fork.terms
    return fork


@torch.no_grad()
def decode(language_model: LanguageModel, caches: Mapping[str, Cache], ids: torch.Tensor) -> dict[str, float]:
    """Median seconds of a token on each cache, in turns, after one turn that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in caches}
    for turn, part in enumerate(ids[: max(TURN, len(ids) // TURN * TURN)].split(TURN)):
        for name, cache in caches.items():
            block = keepmap.evicting(language_model) if isinstance(cache, keepmap.EvictingCache) else nullcontext()
            with block:
                for token in part:
                    started = time.perf_counter()
                    language_model.model(token.view(1, 1), past_key_values=cache, logits_to_keep=1)
                    taken[name].append(time.perf_counter() - started)
            if turn == 0 and len(ids) > TURN:
                taken[name].clear()
    return {name: statistics.median(times) for name, times in taken.items()}


def time_decoding(report: Report, language_model: LanguageModel, sizes: Sequence[int], tokens: int) -> list[Goal]:
    """Decoding on a full cache and on ours, and what deciding is of it; the bytes that are held."""
    goals, rows, held = list[Goal](), list[list[str]](), list[list[str]]()
    for n in sizes:
        ids, read = documentation(language_model, n), n - tokens - TURN
        if len(ids) < n or read < 1:
            raise SystemExit(f"error: expected --sizes of {tokens + TURN + 1} to {len(ids)} tokens, got {n}")
        caches: dict[str, Cache] = {
            "full": read_plain(language_model, ids[:read]),
            LIMIT: read_plain(language_model, ids[:1]),
        }
        for method in METHODS:
            cache = read_evicting(language_model, ids[:read], method)
            caches |= {method: cache, f"{method}, nothing decided": undecided(cache)}
            entries = int(cache.keep_map().kept().sum()) * cache.layers[0].held.slabs.entry_nbytes
            full = cache.report().full_nbytes
            row = [f"{n:,}", f"`{method}`", *(f"{size / 1e6:.2f}" for size in (full, entries, cache.bytes()))]
            held.append([*row, f"{cache.bytes() / entries:.3f}"])
            if n == max(sizes):
                goals.append(
                    Goal(f"`{method}`, {n:,} tokens: held / entries", cache.bytes() / entries, "x", "<=", 1.15)
                )
        seconds = decode(language_model, caches, ids[read:])
        for name in ("full", LIMIT):
            faster = seconds["full"] / seconds[name]
            rows.append([f"{n:,}", name, f"{seconds[name] * 1e3:.1f}", f"{faster:.2f}", ""])
        for method in METHODS:
            faster = seconds["full"] / seconds[method]
            deciding = 1 - seconds[f"{method}, nothing decided"] / seconds[method]
            rows.append([f"{n:,}", f"`{method}`", f"{seconds[method] * 1e3:.1f}", f"{faster:.2f}", f"{deciding:.1%}"])
            if n in AIMS_OF_DECODING:
                goals.append(Goal(f"`{method}`, {n:,} tokens: decoding", faster, "x", ">=", AIMS_OF_DECODING[n]))
                aim = 100 * AIMS_OF_DECIDING[method]
                goals.append(Goal(f"`{method}`, {n:,} tokens: deciding", 100 * deciding, " %", "<=", aim))
    head = ["tokens", "cache", "ms a token", "x as fast", "deciding"]
    report.table(f"Decoding {tokens} tokens, density {DENSITY}, window {WINDOW}, CPU", head, rows)
    report.table("Bytes, MB", ["tokens", "method", "full cache", "entries kept", "held", "held / entries"], held)
    return goals


def time_reading(report: Report, language_model: LanguageModel, n: int, repeats: int) -> list[Goal]:
    """Reading a text under eviction, beside the one pass of `evict`."""
    ids = documentation(language_model, n)
    work: dict[str, Callable[[], object]] = {}
    for method in METHODS:
        evict = partial(keepmap.evict, language_model, ids, method, density=DENSITY, window=WINDOW)
        work[f"evict, {method}"] = evict
        work[f"read, {method}"] = partial(read_evicting, language_model, ids, method)
    seconds = medians(work, repeats)
    share = {method: seconds[f"read, {method}"] / seconds[f"evict, {method}"] for method in METHODS}
    rows = [
        [f"`{method}`", f"{seconds[f'evict, {method}']:.2f}", f"{seconds[f'read, {method}']:.2f}", f"{part:.2f}"]
        for method, part in share.items()
    ]
    report.table(f"Reading {n:,} tokens, CPU", ["method", "`evict`, s", "the cache, s", "x `evict`"], rows)
    return [Goal(f"`{method}`, {n:,} tokens: reading", part, "x evict", "<=", 1.1) for method, part in share.items()]


def measure_peaks(report: Report, model_name: str, n: int) -> list[Goal]:
    """The memory of reading beside the model, each in a process of its own."""
    command = [sys.executable, str(HERE / "cache_probe.py"), "--model_name", model_name, "--n", str(n)]
    command += ["--density", str(DENSITY), "--window", str(WINDOW)]
    peaks: dict[str, float] = {}
    for name in ("dense prefill", *METHODS):
        added = [] if name == "dense prefill" else ["--method", name]
        done = subprocess.run([*command, *added], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[-1]
            raise SystemExit(f"error: cache_probe.py failed: {reason}")
        taken = json.loads(done.stdout.splitlines()[-1])
        peaks[name] = taken["peak"] - taken["before"]
    lower = {method: peaks["dense prefill"] / max(1.0, peaks[method]) for method in METHODS}
    rows = [["dense prefill, all at once", f"{peaks['dense prefill'] / 1e6:.0f}", "1.00"]]
    rows += [[f"`{method}`", f"{peaks[method] / 1e6:.0f}", f"{part:.2f}"] for method, part in lower.items()]
    report.table(f"Peak while reading {n:,} tokens, beside the model", ["reading", "MB", "x lower"], rows)
    return [Goal(f"`{method}`, {n:,} tokens: peak lower", part, "x", ">=", 2.5) for method, part in lower.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name", default="smollm2", help="a language model")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 8192], help="tokens, with those to decode")
    parser.add_argument("--tokens", type=int, default=128, help="tokens to decode")
    parser.add_argument("--repeats", type=int, default=3, help="timed readings, after one that is not")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    try:
        language_model = keepmap.load_language_model(options.model_name, device="cpu")
    except keepmap.KeepmapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = Report(f"What generating under eviction costs on {options.model_name}")
    report.say(*machine())
    longest = max(options.sizes)
    goals = time_decoding(report, language_model, options.sizes, options.tokens)
    goals += measure_peaks(report, options.model_name, longest)
    goals += time_reading(report, language_model, longest, options.repeats)
    report.goals(goals)
    if options.write:
        write_part(report, "bench_cache.py", sys.argv[1:] if arguments is None else arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
