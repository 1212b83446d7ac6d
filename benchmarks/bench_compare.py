"""What a comparison costs on a real model, in dense forwards; and kvpress on the same model and text.

Everything is timed in one run on one machine: SmolLM2 on Python's documentation, at density 0.2 with a window of 128
for all. The KVzap surrogate has random weights, which cost what trained ones do. kvpress does a cheaper job, one dense
prefill and one decision after it. Figures that fall short of their goal are printed like the others.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics

import torch

import keepmap
from keepmap.kv.eviction.dense import dense
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.kv.method import Method
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.language_model import LanguageModel
from memory_probe import memory
from report import Goal, Report, write_part
from timing import machine, medians

HERE = Path(__file__).resolve().parent
DENSITY, WINDOW = 0.2, 128
EIGHT = (
    "random",
    "streaming_llm",
    "key_norm",
    "expected_attention",
    "observed_attention",
    "h2o",
    "kvzap",
    "kvzap_no_sink",
)
AIMS = {"random": 0.85, "expected_attention": 1.0, "observed_attention": 1.4, "h2o": 1.4}
LONG_METHOD, LONG_AIM = "random", 0.65


def documentation(language_model: LanguageModel, n: int) -> torch.Tensor:
    """The first tokens of Python's documentation by topic."""
    assert language_model.tokenizer is not None
    ids = language_model.tokenizer.encode("\n".join(topics[name] for name in sorted(topics)))
    return torch.tensor(ids[:n])


def eight_methods(language_model: LanguageModel) -> dict[str, Method]:
    """All of them, with a surrogate of random weights."""
    config = language_model.model.config.get_text_config()
    sizes = SurrogateConfig(config.hidden_size, language_model.n_kv_heads, language_model.n_layers, hidden_dim=64)
    with tempfile.TemporaryDirectory() as folder:
        KVzapSurrogate(sizes).save(folder)
        return {name: resolve_method(name, language_model, kvzap_scorer_model=folder) for name in EIGHT}


def _evict(language_model: LanguageModel, ids: torch.Tensor, method: Method) -> object:
    return keepmap.evict(language_model, ids, method, density=DENSITY, window=WINDOW).hidden_states


def time_comparison(report: Report, language_model: LanguageModel, n: int) -> list[Goal]:
    """Eight methods on one text, memory first: a dense forward holds all logits at once."""
    ids, methods = documentation(language_model, n), eight_methods(language_model)
    keepmap.compare(language_model, ids[: WINDOW + 32], list(methods.values()), density=DENSITY)
    before = memory("VmRSS")
    started = time.perf_counter()
    keepmap.compare(
        language_model, ids, list(methods.values()), density=DENSITY, window=WINDOW, h2o_local_window_size=WINDOW
    )
    taken, peak = time.perf_counter() - started, memory("VmHWM") - before

    @torch.no_grad()
    def with_logits() -> object:
        return language_model.model(ids[None], use_cache=False).logits

    forward = medians({"dense": with_logits}, 3, budget=60)["dense"]
    head = ["tokens", "dense with logits, s", "eight methods, s", "dense forwards", "beside the model, GB"]
    row = [f"{n:,}", f"{forward:.2f}", f"{taken:.1f}", f"{taken / forward:.2f}", f"{peak / 1e9:.2f}"]
    report.table(f"`keepmap.compare`, density {DENSITY}, window {WINDOW}, CPU", head, [row])
    if n != 4096:
        return []
    return [
        Goal("eight methods, 4,096 tokens", taken / forward, " dense forwards with logits", "<=", 10),
        Goal("memory beside the model, 4,096 tokens", peak / 1e9, " GB", "<=", 1.5),
    ]


def time_passes(report: Report, language_model: LanguageModel, sizes: Sequence[int], repeats: int) -> list[Goal]:
    """Each method's pass against the dense pass, both without logits; of the longest text, one method."""
    methods, goals = eight_methods(language_model), list[Goal]()
    for n in sizes:
        ids = documentation(language_model, n)
        chosen = [LONG_METHOD] if n > 4096 else [*EIGHT]
        work: dict[str, Callable[[], object]] = {"dense": partial(dense, language_model, ids)}
        work |= {name: partial(_evict, language_model, ids, methods[name]) for name in chosen}
        seconds = medians(work, repeats, budget=900.0)  # the first pass of each is cold, and is not to count
        share = {name: taken / seconds["dense"] for name, taken in seconds.items()}
        rows = [[f"`{name}`", f"{seconds[name]:.2f}", f"{share[name]:.2f}"] for name in chosen]
        rows.insert(0, ["dense", f"{seconds['dense']:.2f}", "1.00"])
        report.table(f"Passes alone, {n:,} tokens, CPU", ["pass", "s", "x dense"], rows)
        if n == 4096:
            goals += [Goal(f"`{name}`, 4,096 tokens", share[name], "x", "<=", aim) for name, aim in AIMS.items()]
        if n == 8192:
            goals.append(Goal(f"`{LONG_METHOD}`, 8,192 tokens", share[LONG_METHOD], "x", "<=", LONG_AIM))
    return goals


def time_kvpress(report: Report, python: str, model_path: Path, ids: torch.Tensor, repeats: int) -> None:
    """One dense prefill with each press, beside one without."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(ids.tolist(), file)
        file.flush()
        command = [python, str(HERE / "kvpress_prefill.py"), "--model_path", str(model_path), "--ids", file.name]
        command += ["--density", str(DENSITY), "--repeats", str(repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SystemExit(f"error: {shlex.join(command)} failed: {reason}")
    result = json.loads(done.stdout.splitlines()[-1])
    seconds = result["seconds"]
    rows = [[name, f"{taken:.2f}", f"{taken / seconds['dense']:.2f}"] for name, taken in seconds.items()]
    versions = ", ".join(f"{name} {result[name]}" for name in ("kvpress", "torch", "transformers"))
    report.table(f"One dense prefill, {len(ids):,} tokens, {versions}, CPU", ["press", "s", "x dense"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name", default="smollm2", help="a language model")
    parser.add_argument("--compare-size", type=int, default=4096, help="length of the text that is compared on")
    parser.add_argument("--sizes", type=int, nargs="*", default=[2048, 4096, 8192], help="text lengths, passes alone")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each, after one that is not")
    parser.add_argument("--kvpress-python", metavar="PATH", help="a Python that has kvpress 0.5.5, to time it too")
    parser.add_argument("--write", action="store_true", help="write this part of benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    try:
        language_model = keepmap.load_language_model(options.model_name, device="cpu")
    except keepmap.KeepmapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = Report(f"What a comparison costs on {options.model_name}")
    report.say(*machine())
    goals = time_comparison(report, language_model, options.compare_size)
    goals += time_passes(report, language_model, options.sizes, options.repeats)
    if options.kvpress_python:
        path = Path(language_model.model.name_or_path)
        ids = documentation(language_model, options.compare_size)
        time_kvpress(report, options.kvpress_python, path, ids, options.repeats)
    else:
        report.say("", "kvpress was not timed: give a Python that has it with `--kvpress-python`.")
    report.goals(goals)
    if options.write:
        shown = list(sys.argv[1:] if arguments is None else arguments)
        if "--kvpress-python" in shown[:-1]:
            shown[shown.index("--kvpress-python") + 1] = "kvpress-venv/bin/python"
        write_part(report, "bench_compare.py", shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
