"""What exact eviction costs: against the dense forward, and against decoding token by token.

Everything is timed in one run on one machine, in turns, on random weights of the embedded model's shape (and, where
there is a CUDA device, of Llama-3.1-8B's), at density 0.2 by the budget rule. Figures that fall short of their goal
are printed like the others.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import keepmap
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.language_model import LanguageModel
from report import Goal, Report, write_part
from shapes import LLAMA_8B, TINY, random_llama, random_tokens
from timing import machine, medians
from token_by_token import decode_with_masks

HERE = Path(__file__).resolve().parent
DENSITY = 0.2
METHOD = "key_norm"
LONGEST_DECODED = 4096
EIGHT = (
    "random",
    "streaming_llm",
    "random_validation",
    "expected_attention",
    "observed_attention",
    "h2o",
    "kvzap",
    "kvzap_no_sink",
)


_HOW = "benchmarks/kvpress_decode.py says how to make an environment that can"


def time_lengths(report: Report, sizes: Sequence[int], repeats: int, kvpress_python: str | None) -> list[Goal]:
    """Dense, ours, token by token and kvpress at every length."""
    language_model = keepmap.load_language_model(random_llama(TINY), device="cpu")
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for n in sizes:
        ids = random_tokens(TINY, n)
        dense, ours = _dense(language_model, ids), _ours(language_model, ids)
        seconds = medians({"dense": dense, "ours": ours}, repeats)
        dense_s, ours_s = seconds["dense"], seconds["ours"]
        share = ours_s / dense_s
        row = [f"{n:,}", f"{dense_s:.3f}", f"{ours_s:.3f}", f"{share:.2f}"]
        if aim := {4096: 1.1, 16384: 0.4}.get(n):
            goals.append(Goal(f"ours / dense forward, {n:,} tokens", share, "x", "<=", aim))
        if n <= LONGEST_DECODED:
            slow, difference = _token_by_token(language_model, ids, repeats)
            row += [f"{slow:.2f}", f"{slow / ours_s:.0f}x", f"{difference:.0e}"]
            if n == 4096:
                goals.append(
                    Goal("token by token with masks / ours, 4,096 tokens", slow / seconds["ours"], "x", ">=", 40)
                )
        else:
            row += ["", "", ""]
        if kvpress_python and n <= LONGEST_DECODED:
            peer = _kvpress(kvpress_python, n, repeats)
            row += [f"{peer:.2f}", f"{peer / ours_s:.0f}x"]
            if n == 4096:
                goals.append(Goal("kvpress token by token / ours, 4,096 tokens", peer / ours_s, "x", ">=", 60))
        else:
            row += ["", ""]
        rows.append(row)
        print(f"  {n:,} tokens done", file=sys.stderr, flush=True)
    timed = ["tokens", "dense, s", "ours, s", "ours / dense"]
    head = [*timed, "token by token, s", "that / ours", "logits differ by", "kvpress, s", "kvpress / ours"]
    shown = [name for name in head if name != "logits differ by"]
    report.table(f"One text, `{METHOD}`, density {DENSITY}, CPU", head, rows, shown)
    if not kvpress_python:
        report.say("", "kvpress was not timed: give a Python that has it with `--kvpress-python`.")
    return goals


def time_methods(report: Report, n: int, repeats: int) -> list[Goal]:
    """Every method of the comparison on one text, as multiples of the dense forward."""
    language_model = keepmap.load_language_model(random_llama(TINY), device="cpu")
    ids = random_tokens(TINY, n)
    config = SurrogateConfig(TINY["hidden_size"], TINY["num_key_value_heads"], TINY["num_hidden_layers"], hidden_dim=64)
    with tempfile.TemporaryDirectory() as folder:
        KVzapSurrogate(config).save(folder)
        methods = {name: resolve_method(name, language_model, kvzap_scorer_model=folder) for name in EIGHT}
    work: dict[str, Callable[[], object]] = {"dense": _dense(language_model, ids)}
    for name, method in methods.items():
        work[name] = lambda method=method: keepmap.evict(language_model, ids, method, density=DENSITY).logits  # type: ignore[misc]
    seconds = medians(work, repeats)
    dense = seconds.pop("dense")
    rows = [[f"`{name}`", f"{taken:.3f}", f"{taken / dense:.2f}"] for name, taken in seconds.items()]
    total = sum(seconds.values())
    rows.append(["all eight", f"{total:.3f}", f"{total / dense:.2f}"])
    report.table(f"Eight methods on {n:,} tokens, density {DENSITY}, CPU", ["method", "s", "dense forwards"], rows)
    return [Goal(f"all eight methods, {n:,} tokens", total / dense, " dense forwards", "<=", 12)] if n == 4096 else []


def measure_memory(report: Report, n: int) -> list[Goal]:
    """The memory of one long pass, in a process of its own."""
    command = [sys.executable, str(HERE / "memory_probe.py"), "--n", str(n), "--density", str(DENSITY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {shlex.join(command)} failed: {_last_line(done.stderr)}")
    document = json.loads(done.stdout.splitlines()[-1])
    before, peak = document["before"] / 1e9, document["peak"] / 1e9
    rows = [[f"{n:,}", f"{before:.2f}", f"{peak:.2f}", f"{peak - before:.2f}"]]
    head = ["tokens", "before, GB", "at its peak, GB", "the pass, GB"]
    report.table(f"Memory, `{METHOD}`, density {DENSITY}, CPU", head, rows)
    return [Goal(f"memory beside the model, {n:,} tokens", peak - before, " GB", "<=", 2)] if n == 65536 else []


@torch.no_grad()
def time_cuda(report: Report, sizes: Sequence[int], repeats: int) -> None:
    """Llama-3.1-8B's shape in bfloat16 on a GPU; last hidden states, as 32k rows of logits are 8 GB by themselves."""
    model = random_llama(LLAMA_8B, "cuda", torch.bfloat16)
    language_model = keepmap.load_language_model(model)
    rows = []
    for n in sizes:
        ids = random_tokens(LLAMA_8B, n).to("cuda")
        work: dict[str, Callable[[], object]] = {
            "dense": lambda ids=ids: model.base_model(ids[None], use_cache=False).last_hidden_state,  # type: ignore[misc]
            "ours": lambda ids=ids: keepmap.evict(language_model, ids, METHOD, density=DENSITY).hidden_states,  # type: ignore[misc]
        }
        seconds = medians(work, repeats)
        peaks = []
        for run in work.values():
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            peaks.append(f"{(torch.cuda.max_memory_allocated() - before) / 1e9:.2f}")
        share = seconds["ours"] / seconds["dense"]
        rows.append([f"{n:,}", f"{seconds['dense']:.3f}", f"{seconds['ours']:.3f}", f"{share:.2f}", *peaks])
    head = ["tokens", "dense, s", "ours, s", "ours / dense", "dense, GB beside the model", "ours, GB beside the model"]
    report.table(f"Llama-3.1-8B's shape, bfloat16, `{METHOD}`, density {DENSITY}, CUDA", head, rows)


def _dense(language_model: LanguageModel, ids: torch.Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def run() -> object:
        return language_model.model(ids[None], use_cache=False).logits

    return run


def _ours(language_model: LanguageModel, ids: torch.Tensor) -> Callable[[], object]:
    return lambda: keepmap.evict(language_model, ids, METHOD, density=DENSITY).logits


def _token_by_token(language_model: LanguageModel, ids: torch.Tensor, repeats: int) -> tuple[float, float]:
    """Seconds, and the largest difference of its logits from ours."""
    eviction = keepmap.evict(language_model, ids, METHOD, density=DENSITY)
    outputs: list[torch.Tensor] = []

    def run() -> None:
        outputs[:] = [decode_with_masks(language_model.model, ids, eviction.keep_map.expires)]

    seconds = medians({"decode": run}, min(repeats, 3))["decode"]
    return seconds, float((outputs[0] - eviction.logits).abs().max())


def _kvpress(python: str, n: int, repeats: int) -> float:
    command = [python, str(HERE / "kvpress_decode.py"), "--n", str(n), "--density", str(DENSITY)]
    done = subprocess.run([*command, "--repeats", str(min(repeats, 3))], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"error: {shlex.join(command)} failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
        )
    document = json.loads(done.stdout.splitlines()[-1])
    versions = ", ".join(f"{name} {document[name]}" for name in ("kvpress", "torch", "transformers"))
    print(f"  {versions}: density {document['density']:.3f}", file=sys.stderr, flush=True)
    return float(document["seconds"])


def _has_kvpress(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", "import kvpress"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _last_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 4096, 16384], help="text lengths")
    parser.add_argument("--methods-size", type=int, default=4096, help="length of the text for all methods")
    parser.add_argument("--memory-size", type=int, default=65536, help="length of the text whose memory is measured")
    parser.add_argument("--cuda-sizes", type=int, nargs="+", default=[8192, 32768], help="lengths on a CUDA device")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each, after one that is not")
    parser.add_argument("--kvpress-python", metavar="PATH", help="a Python that has kvpress 0.5.5, to time it too")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    if options.kvpress_python and not _has_kvpress(options.kvpress_python):
        print(f"error: --kvpress-python {options.kvpress_python} cannot import kvpress; {_HOW}", file=sys.stderr)
        return 2
    report = Report("What exact eviction costs")
    report.say(*machine())
    goals = time_lengths(report, options.sizes, options.repeats, options.kvpress_python)
    goals += time_methods(report, options.methods_size, options.repeats)
    goals += measure_memory(report, options.memory_size)
    if torch.cuda.is_available():
        time_cuda(report, options.cuda_sizes, options.repeats)
    else:
        report.say("", "No CUDA device here: Llama-3.1-8B's shape was not timed.")
    report.goals(goals)
    if options.write:
        write_part(report, "bench_evict.py", _without_paths(sys.argv[1:] if arguments is None else arguments))
    return 0


def _without_paths(arguments: Sequence[str]) -> list[str]:
    """The command as anybody could give it: the path of a Python is its owner's business."""
    shown = list(arguments)
    if "--kvpress-python" in shown[:-1]:
        shown[shown.index("--kvpress-python") + 1] = "kvpress-venv/bin/python"
    return shown


if __name__ == "__main__":
    sys.exit(main())
