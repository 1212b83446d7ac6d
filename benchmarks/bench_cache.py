"""What generating under eviction costs and saves on a real model, beside the plain cache of transformers.

Everything is timed in one run on one machine, in turns: SmolLM2 on Python's documentation, at density 0.2 with a window
of 128. A figure with two more in brackets is the median of its repeats, and the least and the most of them. Deciding is
what a step takes beyond one on a cache that holds as many entries and decides nothing: its newest entry goes where the
method would drop one. Figures that fall short of their goal are printed like the others.
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
from itertools import starmap
from pathlib import Path

import torch
from transformers import Cache, DynamicCache

import keepmap
from bench_compare import DENSITY, WINDOW, documentation
from keepmap.kv.cache.held import AFTER_THE_CUT
from keepmap.kv.eviction.review import Sight
from keepmap.language_model import LanguageModel
from report import Goal, Report, write_part
from timing import in_turns, machine

HERE = Path(__file__).resolve().parent
METHODS = ("random", "h2o")
ANEW = ("snapkv", "keydiff")
"""Methods that score all that is held at each step: what their step costs is printed, without a goal."""
AIMS_OF_DECODING = {1024: 0.95, 8192: 1.9}
AIMS_OF_DECIDING = {"random": 0.05, "h2o": 0.15}
BLOCK = 1024
"""Tokens that the plain cache is given at once: as many as ours reads."""
LIMIT = "one token, the limit"
"""A plain cache with nothing to look at but what is decoded: no method can be faster than the model itself."""
TURN = 16
"""Tokens that each decodes before it is the next one's turn: a repeat of every figure."""
LOOKED_AT = 64
"""Tokens that a method of `ANEW` reads itself, so that it has the queries which it looks at."""


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


def by(cache: keepmap.EvictingCache, name: str) -> keepmap.EvictingCache:
    """A fork of the same entries, about which a method decides that scores anew from now on.

    To read all of a long text under it would take minutes; a step costs what it costs on as many entries.
    """
    fork, method = cache.fork(), keepmap.methods()[name]()
    fork.terms = replace(fork.terms, method=method)
    heads = fork.language_model.model.config.num_attention_heads
    for layer in fork.layers:
        layer.given, held = replace(layer.given, method=method), layer.held
        held.sight = Sight(  # without queries: it says only where they go on
            step=held.seen - 1,
            queries=held.slabs.keys.new_empty(heads, 0, held.slabs.keys.shape[1]),
            sees_from=torch.zeros(0, dtype=torch.int64),
            scaling=1.0,
            softcap=None,
            sinks=None,
            rotation=None,
        )
        layer.hold(held)
    return fork


class Undecided:
    """A fork of a cache that scores and drops nothing, and holds as much: its newest entry goes where one would."""

    def __init__(self, cache: keepmap.EvictingCache) -> None:
        self.cache, self.terms = cache.fork(), [layer.given for layer in cache.layers]
        self.cache.terms = AFTER_THE_CUT
        for layer in self.cache.layers:
            layer.given = AFTER_THE_CUT

    def forget(self) -> None:
        """After a step, and outside of what is timed."""
        for layer, terms in zip(self.cache.layers, self.terms, strict=True):
            for counts in (layer.held.slabs.counts, layer.held.columns.counts):
                counts -= terms.drops(layer.held.seen)


@torch.no_grad()
def decode(
    language_model: LanguageModel, caches: Mapping[str, Cache | Undecided], ids: torch.Tensor
) -> dict[str, list[float]]:
    """Seconds of a token on each cache, the median of each of its turns, after one turn that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in caches}
    for turn, part in enumerate(ids[: max(TURN, len(ids) // TURN * TURN)].split(TURN)):
        for name, given in caches.items():
            cache = given.cache if isinstance(given, Undecided) else given
            block = keepmap.evicting(language_model) if isinstance(cache, keepmap.EvictingCache) else nullcontext()
            seconds = list[float]()
            with block:
                for token in part:
                    started = time.perf_counter()
                    language_model.model(token.view(1, 1), past_key_values=cache, logits_to_keep=1)
                    seconds.append(time.perf_counter() - started)
                    if isinstance(given, Undecided):
                        given.forget()
            if turn or len(ids) <= TURN:
                taken[name].append(statistics.median(seconds))
    return taken


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the most of the repeats."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def caches_of(language_model: LanguageModel, ids: torch.Tensor) -> dict[str, Cache]:
    """The caches of a text by name: full ones, and of every method."""
    plain = {"full": read_plain(language_model, ids), LIMIT: read_plain(language_model, ids[:1])}
    cut = max(1, len(ids) - LOOKED_AT)
    own = {method: read_evicting(language_model, ids[:cut], method) for method in METHODS}
    anew = {method: by(next(iter(own.values())), method) for method in ANEW}
    for cache in (own | anew).values():
        for token in ids[cut:]:  # one by one: several at once take those that score anew longer
            cache.read(token[None])
    return {**plain, **own, **anew}


def time_decoding(report: Report, language_model: LanguageModel, sizes: Sequence[int], tokens: int) -> list[Goal]:
    """Decoding on a full cache and on ours, and what deciding is of it; the bytes that are held."""
    goals, rows, held = list[Goal](), list[list[str]](), list[list[str]]()
    for n in sizes:
        ids, read = documentation(language_model, n), n - tokens - TURN
        if len(ids) < n or read < 1:
            raise SystemExit(f"error: expected --sizes of {tokens + TURN + 1} to {len(ids)} tokens, got {n}")
        caches = caches_of(language_model, ids[:read])
        timed: dict[str, Cache | Undecided] = {}
        for method, cache in caches.items():
            timed[method] = cache
            if isinstance(cache, keepmap.EvictingCache):
                timed[f"{method}, nothing decided"] = Undecided(cache)
        for method in METHODS:
            cache = caches[method]
            assert isinstance(cache, keepmap.EvictingCache)
            entries = int(cache.keep_map().kept().sum()) * cache.layers[0].held.slabs.entry_nbytes
            full = cache.report().full_nbytes
            row = [f"{n:,}", f"`{method}`", *(f"{size / 1e6:.2f}" for size in (full, entries, cache.bytes()))]
            held.append([*row, f"{cache.bytes() / entries:.3f}"])
            if n == max(sizes):
                goals.append(
                    Goal(f"`{method}`, {n:,} tokens: held / entries", cache.bytes() / entries, "x", "<=", 1.15)
                )
        seconds = decode(language_model, timed, ids[read:])
        for name in caches:
            faster = [full / own for full, own in zip(seconds["full"], seconds[name], strict=True)]
            row = [f"{n:,}", name, f"{statistics.median(seconds[name]) * 1e3:.1f}", spread(faster, ".2f"), ""]
            if name not in METHODS + ANEW:
                rows.append(row)
                continue
            pairs = zip(seconds[f"{name}, nothing decided"], seconds[name], strict=True)
            deciding = list(starmap(lambda without, own: 1 - without / own, pairs))
            rows.append([row[0], f"`{name}`", *row[2:4], spread(deciding, ".1%")])
            if n in AIMS_OF_DECODING and name in METHODS:
                faster_ = statistics.median(faster)
                goals.append(Goal(f"`{name}`, {n:,} tokens: decoding", faster_, "x", ">=", AIMS_OF_DECODING[n]))
                share, aim = 100 * statistics.median(deciding), 100 * AIMS_OF_DECIDING[name]
                goals.append(Goal(f"`{name}`, {n:,} tokens: deciding", share, " %", "<=", aim))
    head = ["tokens", "cache", "ms a token", "x as fast", "deciding"]
    title = f"Decoding {tokens} tokens, density {DENSITY}, window {WINDOW}, CPU: the median of each turn of {TURN}"
    report.table(title, head, rows)
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
    # What decoded has read a text before: no round is needed to warm up.
    seconds = in_turns(work, repeats)
    shares, rows = dict[str, list[float]](), list[list[str]]()
    for method in METHODS:
        whole, own = seconds[f"evict, {method}"], seconds[f"read, {method}"]
        shares[method] = [mine / theirs for mine, theirs in zip(own, whole, strict=True)]
        each = (f"{statistics.median(times):.2f}" for times in (whole, own))
        rows.append([f"`{method}`", *each, spread(shares[method], ".2f")])
    report.table(f"Reading {n:,} tokens, CPU", ["method", "`evict`, s", "the cache, s", "x `evict`"], rows)
    return [
        Goal(f"`{method}`, {n:,} tokens: reading", statistics.median(share), "x evict", "<=", 1.1)
        for method, share in shares.items()
    ]


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
    parser.add_argument("--repeats", type=int, default=3, help="timed readings of the longest text")
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
