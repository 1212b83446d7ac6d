"""The main job: every method on every text, tables, pictures and files."""

import contextlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from numbers import Real
from pathlib import Path

import torch
from rich.console import Console

from keepmap.commands.comparing.blocks import BLOCKS, Blocks, print_lines
from keepmap.commands.comparing.pictures import REPORT, picture_files, write_page
from keepmap.commands.progress import Lines, progress_bar
from keepmap.core.arguments import as_path, as_string, shown
from keepmap.core.executors.choice import as_executor, opened_executor
from keepmap.core.joining.plugins import plugin_faults, plugins
from keepmap.core.runs.command import repeating
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.hashes import hash_of_files, hash_of_lines
from keepmap.core.runs.identity import Identity
from keepmap.core.versions import versions
from keepmap.drawing import picture_formats, read_spans
from keepmap.errors import InputError, KeepmapError, kind_of, on_one_line
from keepmap.kv.comparison import (
    FILES,
    PACKAGES,
    Comparison,
    Died,
    Facts,
    Job,
    Passed,
    Ready,
    Run,
    choose_devices,
    death_place,
    n_results,
    plan_methods,
    plan_mode,
    sample_folder,
)
from keepmap.kv.data.texts import read_texts
from keepmap.language_model import MODEL_NAMES, place_of
from keepmap.printing.comparison import (
    facts_lines,
    header,
    reused_lines,
    stopped_lines,
)

__all__ = ["compare_compression_methods"]

FEW_LAYERS = 4
"""Of models with more layers, the table comes first, and each method's block goes into a file."""

Page = Callable[[Comparison, Path], Path]
"""What writes report.html into a folder."""


def compare_compression_methods(
    data_path: str | Path,
    text_field: str = "text",
    model_name: str | Path = "tiny",
    kvzap_scorer_model: str | Path | None = None,
    kvzap_model_type: str = "auto",
    methods: str | Sequence[str] = "usual",
    max_samples: int | None = None,
    max_length: int | None = None,
    chat_template: bool = False,
    strict: bool = False,
    mode: str | None = None,
    chunk_size: int = 1,
    context_length: int | float | None = None,
    interval: int = 1,
    thresholds: str | Mapping[str, float | Real] | None = None,
    density: float | None = None,
    budget_by: str | Path | None = None,
    sliding_window_size: int = 128,
    n_sink: int | None = None,
    h2o_local_window_size: int | None = None,
    include_observed_attention: bool = False,
    seed: int = 0,
    dtype: str = "auto",
    device: str = "auto",
    num_gpus: int | None = None,
    workers: int | None = None,
    executor: Executor | str | None = None,
    output_dir: str | Path = "comparison_results",
    overwrite: bool = False,
    visualize_first_sample: bool = True,
    report: bool = False,
    redact_text: bool = False,
    spans: str | Path | None = None,
    verbose: bool = False,
    quiet: bool = False,
    format: str = "png",
) -> Comparison:
    """Run compression methods on texts, print what they cost, write results and pictures into `output_dir`.

    The arguments are the options of `keepmap compare`, which `keepmap compare --help` describes. Results, KeepMaps and
    pictures have the same bytes on every run, for every number of workers, and after any number of stops: the same call
    goes on where it was. Times alone differ, in timings.json and index.jsonl.

    >>> import contextlib, io, json, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = pathlib.Path(folder, "data.jsonl")
    ...     _ = data.write_text(json.dumps({"text": "The code of river is 4821. " * 9}))
    ...     with contextlib.redirect_stdout(io.StringIO()):
    ...         comparison = compare_compression_methods(
    ...             data, methods="streaming_llm", sliding_window_size=16, output_dir=f"{folder}/out",
    ...             visualize_first_sample=False,
    ...         )
    >>> [row["method"] for row in comparison.rows]
    ['Baseline (No Chunking)', 'Baseline (Chunked)', 'StreamingLLM']

    Args:
        methods: names, or a string of names with commas or spaces; "usual" or "all".
        thresholds: method -> threshold, or the same as JSON.
        executor: whose workers do it, by `docs/scale.md`: any of `concurrent.futures`, which stays open, or "ray" or
            "ray://HOST:PORT" for a Ray cluster, of which `workers` says how many of its workers are used.
        overwrite: whether what another run made in `output_dir` is removed; without it, that is an error.
        include_observed_attention: accepted for old calls; those methods run anyway.
        visualize_first_sample: whether to draw what each method kept of the first text.
        report: whether to write report.html, one page of all of it: docs/report.md.
        redact_text: whether that page is to hold no text.
        spans: a JSON file of stretches of the first text, which that page names.
        verbose: whether to print each method's block for a model of more than four layers too, after the table.
        quiet: whether to print the table alone.

    Returns:
        The rows and samples; as a mapping, the content of `detailed_results.json` but its checksum.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do. What is finished has been
            written, as after Ctrl-C.
        KeyboardInterrupt: Ctrl-C, after what is finished has been written.
    """
    if not isinstance(data_path, str | Path) or (isinstance(data_path, str) and data_path in MODEL_NAMES):
        raise InputError(
            f"expected `data_path` to be a file of texts or a folder, got {shown(data_path)}; "
            "keepmap.compare(model, texts) takes models and texts that are in memory"
        )
    if not isinstance(model_name, str | Path):
        raise InputError(
            f"expected `model_name` to be a name or a folder, got {kind_of(model_name)}; "
            "keepmap.compare takes loaded models"
        )
    when = plan_mode(mode, chunk_size, context_length, interval)
    plan = plan_methods(
        methods,
        thresholds=thresholds,
        density=density,
        n_sink=n_sink,
        window=sliding_window_size,
        h2o_local_window_size=h2o_local_window_size,
        budget_by=budget_by,
        mode=when,
    )
    if verbose and quiet:
        raise InputError("expected one of `verbose` and `quiet`, got both; leave one of them out")
    for name, value in (("redact_text", redact_text), ("spans", spans)):
        if value and not report:
            raise InputError(f"got `{name}` without `report`, which it is of; give both, or leave it out")
    named = None if spans is None else read_spans(as_path("spans", spans))
    kvzap_model_type = as_string("kvzap_model_type", kvzap_model_type)
    if kvzap_scorer_model is not None:
        as_path("kvzap_scorer_model", kvzap_scorer_model)
    formats = picture_formats(format)
    folder = as_path("output_dir", output_dir)
    executor = as_executor("executor", executor)
    if executor is not None and num_gpus is not None:
        raise InputError("got `num_gpus` and an `executor`, which has its own workers; leave one of them out")
    devices = choose_devices(device, num_gpus, workers if executor is None else None)
    data_path = as_path("data_path", data_path)
    # The texts are read again where the model is; here their faults are found before anything is loaded.
    texts, skipped = read_texts(data_path, text_field, max_samples, strict=strict)
    options = {
        "data_path": str(data_path),
        "text_field": text_field,
        "model_name": str(model_name),
        "kvzap_scorer_model": None if kvzap_scorer_model is None else str(kvzap_scorer_model),
        "kvzap_model_type": kvzap_model_type,
        "methods": plan.group or [method.key for method in plan.methods],
        "max_samples": max_samples,
        "max_length": max_length,
        "chat_template": chat_template,
        "strict": strict,
        "mode": when.name,
        "chunk_size": when.chunk_size,
        "context_length": when.context_length,
        "interval": when.interval,
        "density": density,
        "budget_by": None if budget_by is None else str(budget_by),
        "thresholds": {method.key: method.threshold for method in plan.methods if density is None},
        "sliding_window_size": sliding_window_size,
        "n_sink": n_sink,
        "h2o_local_window_size": h2o_local_window_size,
        "seed": seed,
        "dtype": dtype,
    }
    identity = Identity(
        verb="compare",
        # Of a table its content, not its name, decides.
        options={**options, "budget_by": plan.shared_by},
        versions=versions(*PACKAGES),
        hashes={"data": hash_of_lines([*texts, *skipped]), "plugins": hash_of_files(plugins())},
    )
    place = RunFolder(folder, identity, overwrite=overwrite)
    place.check(FILES)
    job = Job(
        data_path=str(data_path),
        text_field=text_field,
        max_samples=max_samples,
        max_length=max_length,
        chat_template=chat_template,
        strict=strict,
        model_name=str(model_name),
        dtype=dtype,
        kvzap_scorer_model=None if kvzap_scorer_model is None else str(kvzap_scorer_model),
        kvzap_model_type=kvzap_model_type,
        plan=plan,
        mode=when,
        seed=seed,
        output_dir=folder,
        run=place.run,
        model_place=None if executor is None else place_of(str(model_name)),
    )
    drawn_as = formats if visualize_first_sample else ()
    command = repeating("compare", options, compare_compression_methods)
    page = partial(write_page, command=command, redact_text=redact_text, spans=named) if report else None
    with opened_executor(executor, workers, torch.get_num_threads(), device) as hands, place:
        run = Run(job, devices, place, lambda facts: _files(facts, drawn_as, quiet, page), hands)
        if not quiet:
            print_lines(header(job.model_name, job.data_path, when.line, plan.methods, devices))
        return _reported(run, drawn_as, page, verbose, quiet)


def _reported(run: Run, formats: Sequence[str], page: Page | None, verbose: bool, quiet: bool) -> Comparison:
    """Do the run, print what came of it, and write it; what is finished is kept whatever happens."""
    try:
        # Here, so that what is finished is kept.
        with plugin_faults():
            _do(run, quiet)
        comparison = run.comparison()
        assert comparison is not None
        detailed, summary = run.write(comparison)
        report = Blocks(comparison, run, formats)
        if not quiet and run.facts is not None and run.facts.n_layers <= FEW_LAYERS:
            report.blocks(print_lines)
            report.table()
            print_lines(report.drawn())
        else:
            report.table()
            blocks, lines = report.write()
            drawn = report.drawn()
            if not quiet:
                print_lines([*report.advice(), *(lines if verbose else ()), *drawn])
                print_lines(["", f"Each method's block saved to: {on_one_line(blocks)}"])
        if page is not None:
            written = page(comparison, run.job.output_dir)
            if not quiet:
                print_lines(["", f"Report saved to: {on_one_line(written)}"])
        run.place.finish()
    except (KeyboardInterrupt, BrokenPipeError):
        lines = _write_finished(run, "Interrupted")
        with contextlib.suppress(OSError):
            print("\n".join(lines), file=sys.stderr)
        raise
    except KeepmapError:
        # stderr is for the error alone.
        print_lines(_write_finished(run, "Stopped"))
        raise
    if not quiet:
        print_lines(["", f"Detailed results saved to: {on_one_line(detailed)}"])
        print_lines([f"Comparison summary saved to: {on_one_line(summary)}"])
    return comparison


def _do(run: Run, quiet: bool) -> None:
    """Do the job, with a bar or with lines that say how far it is."""
    console = Console(stderr=True, highlight=False)
    with contextlib.closing(run.events()) as events, progress_bar(console) as progress:
        task = progress.add_task("Loading", total=None)
        lines = None if quiet or console.is_terminal else Lines()
        n_known = 0
        for event in events:
            match event:
                case Ready(facts):
                    # The library's reasons name parameters; what a command prints and writes names options.
                    run.facts = replace(facts, left_out=tuple(map(_naming_options, facts.left_out)))
                    if not quiet:
                        print_lines([*facts_lines(run.facts), *reused_lines(run.n_reused, n_results(facts))])
                    progress.update(task, description="Evaluating", total=n_results(facts))
                case Died(sample, exit_code):
                    how = "" if exit_code is None else f" (exit code {exit_code})"
                    console.print(f"a worker died {death_place(sample)}{how}; another one does it again")
                case Passed():
                    progress.update(task, completed=len(run.passed))
                    if lines is not None:
                        lines.say(lambda: _how_far(run, passes=True))
                case finished:
                    # What a worker that died had done comes a second time.
                    is_new, n_known = len(run.results) > n_known, len(run.results)
                    if is_new and lines is not None and run.is_complete(finished.result.sample):
                        lines.say(lambda: _how_far(run), due=True)


def _files(facts: Facts, formats: Sequence[str], quiet: bool, page: Page | None) -> list[str]:
    """What is made beside the results: pictures, the blocks where they are not printed, and the report."""
    pictures = picture_files(facts.plans, formats) if formats else []
    blocks = [BLOCKS] if quiet or facts.n_layers > FEW_LAYERS else []
    return [*pictures, *blocks, *([REPORT] if page is not None else [])]


def _naming_options(reason: str) -> str:
    return re.sub(r"`([a-z0-9_]+)`", r"--\1", reason)


def _how_far(run: Run, passes: bool = False) -> str:
    """A line on stderr where no bar is shown: the samples that are done with, and the passes of others."""
    assert run.facts is not None
    n_complete, left = len(run.complete_samples()), timedelta(seconds=round(run.seconds_left()))
    n_others = len(run.passed) - n_complete * (n_results(run.facts) // run.facts.n_samples)
    within = f" and {n_others} passes of others" if passes else ""
    return f"{n_complete} of {run.facts.n_samples} samples evaluated{within}, {left} left"


def _write_finished(run: Run, reason: str) -> list[str]:
    """Write a summary of the finished samples where that is possible; lines that say which results there are."""
    if run.facts is None:
        return [f"{reason} before the first result; nothing was written"] if reason == "Interrupted" else []
    written = False
    # What stopped the run (a full disk) may stop this too, and is what the user has to know.
    with contextlib.suppress(KeepmapError):
        comparison = run.comparison()
        if comparison is not None:
            run.write(comparison)
            written = True
    return stopped_lines(
        reason,
        n_samples=run.facts.n_samples,
        complete=run.complete_samples(),
        begun=run.begun_samples(),
        written=written,
        folder=sample_folder(run.job.output_dir),
    )
