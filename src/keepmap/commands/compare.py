"""The main job: every method on every text, tables, pictures and files."""

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from numbers import Real
from pathlib import Path
from typing import Any

from rich.console import Console

from keepmap.commands.compare_pictures import clear_pictures, draw_method
from keepmap.commands.progress import progress_bar
from keepmap.core.versions import versions
from keepmap.drawing.parts.files import picture_formats
from keepmap.errors import InputError, KeepmapError, OutputError
from keepmap.kv.comparison.files import (
    PACKAGES,
    ResultKey,
    build_comparison,
    clear_results,
    complete_samples,
    write_comparison,
)
from keepmap.kv.comparison.plan import plan_methods
from keepmap.kv.comparison.results import Comparison, SampleResult
from keepmap.kv.comparison.session import Facts, Job
from keepmap.kv.comparison.workers import Died, Ready, choose_devices, run_job
from keepmap.kv.data.texts import read_texts
from keepmap.printing.comparison import (
    advice_lines,
    comparison_table,
    evaluation_block,
    facts_lines,
    header,
    result_lines,
)

__all__ = ["compare_compression_methods"]


@dataclass
class _Progress:
    """What a run has given so far."""

    facts: Facts | None = None
    ready: float = 0.0
    results: dict[ResultKey, SampleResult] = field(default_factory=dict)
    seconds: dict[ResultKey, float] = field(default_factory=dict)


def compare_compression_methods(
    data_path: str | Path,
    text_field: str = "text",
    model_name: str | Path = "tiny",
    kvzap_scorer_model: str | Path | None = None,
    kvzap_model_type: str = "mlp",
    methods: str | Sequence[str] = "all",
    max_samples: int | None = None,
    max_length: int | None = None,
    chunk_size: int = 1,
    thresholds: str | Mapping[str, float | Real] | None = None,
    density: float | None = None,
    sliding_window_size: int = 128,
    n_sink: int | None = None,
    h2o_local_window_size: int = 512,
    include_observed_attention: bool = False,
    seed: int = 0,
    dtype: str = "auto",
    device: str = "auto",
    num_gpus: int | None = None,
    workers: int | None = None,
    output_dir: str | Path = "comparison_results",
    visualize_first_sample: bool = True,
    format: str = "png",
) -> Comparison:
    """Run compression methods on texts, print what they cost, write results and pictures into `output_dir`.

    The arguments are the options of `keepmap compare`, which `keepmap compare --help` describes. Results, KeepMaps and
    pictures have the same bytes on every run and for every number of workers.

    Args:
        methods: names, or a string of names with commas or spaces, or "all".
        thresholds: method -> threshold, or the same as JSON.
        include_observed_attention: accepted for old calls; those methods are in "all" anyway.
        visualize_first_sample: whether to draw what each method kept of the first text.

    Returns:
        The rows and samples; as a mapping, the content of `detailed_results.json`.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do. What is finished has been
            written, as after Ctrl-C.
        KeyboardInterrupt: Ctrl-C, after what is finished has been written.
    """
    if not isinstance(model_name, str | Path):
        raise InputError(
            f"model_name is a loaded {type(model_name).__name__}; a comparison loads its model by a name or from a "
            "folder (keepmap.evict takes loaded models)"
        )
    plan = plan_methods(
        methods,
        thresholds=thresholds,
        density=density,
        n_sink=n_sink,
        sliding_window_size=sliding_window_size,
        h2o_local_window_size=h2o_local_window_size,
    )
    if chunk_size < 1:
        raise InputError(f"a chunk size of {chunk_size} was asked for; it must be 1 or more (1 is exact decoding)")
    formats = picture_formats(format)
    folder = Path(output_dir)
    _check_folder(folder)
    devices = choose_devices(device, num_gpus, workers)
    # The texts are read again where the model is; here their faults are found before anything is loaded.
    read_texts(data_path, text_field, max_samples)
    job = Job(
        str(data_path),
        text_field,
        max_samples,
        max_length,
        str(model_name),
        dtype,
        None if kvzap_scorer_model is None else str(kvzap_scorer_model),
        kvzap_model_type,
        plan,
        chunk_size,
        seed,
        folder,
    )
    _say(header(job.model_name, job.data_path, chunk_size, plan.methods, devices))
    so_far = _Progress()
    try:
        facts = _run(job, devices, so_far)
        comparison = build_comparison(so_far.results, facts, _configuration(job, facts), seed)
        assert comparison is not None
        detailed, summary = write_comparison(comparison, so_far.seconds, devices, folder)
        _report(comparison, facts, so_far, folder, formats if visualize_first_sample else ())
    except KeyboardInterrupt:
        print("\n".join(_write_finished(job, devices, so_far, "Interrupted")), file=sys.stderr)
        raise
    except KeepmapError:
        # stderr is for the error alone.
        _say(_write_finished(job, devices, so_far, "Stopped"))
        raise
    _say(["", f"Detailed results saved to: {detailed}", f"Comparison summary saved to: {summary}"])
    return comparison


def _run(job: Job, devices: Sequence[str], so_far: _Progress) -> Facts:
    console = Console(stderr=True, highlight=False)
    with contextlib.closing(run_job(job, devices)) as events, progress_bar(console) as progress:
        task = progress.add_task("Loading", total=None)
        for event in events:
            match event:
                case Ready(facts):
                    clear_results(job.output_dir)
                    clear_pictures(job.output_dir)
                    so_far.facts, so_far.ready = facts, time.monotonic()
                    _say(facts_lines(facts))
                    progress.update(task, description="Evaluating", total=facts.n_samples * (len(facts.plans) + 2))
                case Died(sample, exit_code):
                    where = "while loading the model" if sample is None else f"on sample {sample}"
                    console.print(f"a worker died {where} (exit code {exit_code}); another one does it again")
                case finished:
                    key = (finished.result.sample, finished.result.method)
                    known = key in so_far.results
                    so_far.results[key] = finished.result
                    so_far.seconds[key] = finished.seconds
                    progress.update(task, completed=len(so_far.results))
                    if not known and not console.is_terminal:
                        _log(so_far, finished.result.sample)
    assert so_far.facts is not None
    return so_far.facts


def _log(so_far: _Progress, sample: int) -> None:
    """Where no bar is shown: a line on stderr when a sample is done with, its last method included."""
    facts = so_far.facts
    assert facts is not None
    n_runs = len(facts.plans) + 2
    done = Counter(one for one, _ in so_far.results)
    if done[sample] < n_runs:
        return
    finished = sum(count == n_runs for count in done.values())
    passed = time.monotonic() - so_far.ready
    left = timedelta(seconds=round(passed / len(so_far.results) * (facts.n_samples * n_runs - len(so_far.results))))
    print(f"{finished} of {facts.n_samples} samples evaluated, {left} left", file=sys.stderr, flush=True)


def _report(comparison: Comparison, facts: Facts, so_far: _Progress, folder: Path, formats: Sequence[str]) -> None:
    for row in (comparison.baseline_no_chunking, comparison.baseline):
        _say(evaluation_block(row.method))
        if row is comparison.baseline_no_chunking:
            _say(["Note: Processing entire sequence in one forward pass (no compression artifacts)"])
        _say(result_lines(row, compressed=False))
        if formats:
            _say(["", f"  No scores to visualize for {row.method}"])
    by_key = {row.method_key: row for row in comparison.methods}
    for plan in facts.plans:
        row = by_key[plan.key]
        n_compressible = sum(one.entries.n_compressible for one in comparison.samples if one.method == plan.key)
        _say([*evaluation_block(plan.label), *result_lines(row, compressed=True)])
        _say(advice_lines(row, plan, n_compressible))
        if formats:
            _say(draw_method(plan.label, folder, formats))
    seconds: dict[str, float] = {}
    for (_, method), taken in so_far.seconds.items():
        seconds[method] = seconds.get(method, 0.0) + taken
    _say(comparison_table(comparison, seconds))
    if comparison.validated is not None:
        _say(
            [
                "",
                "Validation: StreamingLLM and Random(threshold=1.0) agree on all samples",
                f"            (n={comparison.validated}): NLLs to the last bit, KeepMaps in every expiry",
            ]
        )


def _write_finished(job: Job, devices: tuple[str, ...], so_far: _Progress, why: str) -> list[str]:
    """Write a summary of the finished samples where that can be done; lines that say which results there are."""
    if so_far.facts is None:
        return [f"{why} before the first result; nothing was written"] if why == "Interrupted" else []
    facts = so_far.facts
    whole = complete_samples(so_far.results, facts)
    written = False
    # What stopped the run (a full disk) may stop this too, and is what the user has to know.
    with contextlib.suppress(KeepmapError):
        comparison = build_comparison(so_far.results, facts, _configuration(job, facts), job.seed)
        if comparison is not None:
            write_comparison(comparison, so_far.seconds, devices, job.output_dir)
            written = True
    lines = [f"{why}: {len(whole)} of {facts.n_samples} samples are finished"]
    if whole:
        where = " (in the result files too)" if written else ""
        lines.append(f"  with every method: samples {', '.join(map(str, whole))}{where}")
    for sample in sorted({sample for sample, _ in so_far.results} - set(whole)):
        done = [method for one, method in so_far.results if one == sample]
        lines.append(f"  sample {sample} with {', '.join(done)}")
    return [*lines, f"  Each result is in {job.output_dir / 'samples'}"]


def _configuration(job: Job, facts: Facts) -> dict[str, Any]:
    """What decides the results; how many processes made them does not, and stands in timings.json."""
    return {
        "model_name": job.model_name,
        "data_path": job.data_path,
        "text_field": job.text_field,
        "max_samples": job.max_samples,
        "max_length": job.max_length,
        "num_texts": facts.n_samples,
        "skipped_lines": list(facts.skipped_lines),
        "methods": [plan.key for plan in facts.plans],
        "left_out": list(facts.left_out),
        "chunk_size": job.chunk_size,
        "thresholds": {plan.key: _json_number(plan.threshold) for plan in facts.plans},
        "densities": {plan.key: plan.density for plan in facts.plans},
        "n_sink": {plan.key: plan.n_sink for plan in facts.plans},
        "sliding_window_size": {plan.key: plan.window for plan in facts.plans},
        "kvzap_scorer_model": job.kvzap_scorer_model,
        "kvzap_model_type": job.kvzap_model_type,
        "seed": job.seed,
        "dtype": facts.dtype,
        "device": facts.device,
        "versions": versions(*PACKAGES),
    }


def _json_number(value: float | None) -> float | str | None:
    return value if value is None or abs(value) != float("inf") else str(value)


def _check_folder(folder: Path) -> None:
    """Before hours of work: whether the folder could be made. It is made when there is something to write.

    Raises:
        OutputError: something of its path is a file, or is not writable.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        reason = f"{there} is a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} is not writable"
    else:
        return
    raise OutputError(f"cannot write into the folder {folder}: {reason}; name another with --output_dir")


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, flush=True)
