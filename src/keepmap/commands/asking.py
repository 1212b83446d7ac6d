"""Questions with known answers: ask them under eviction, print and draw what came of it, write all of it."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from keepmap.commands.progress import saying_what_is_kept, share_of_work
from keepmap.core.arguments import as_flag, as_path
from keepmap.core.joining.plugins import plugins
from keepmap.core.runs.command import command
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.hashes import hash_of_files, hash_of_lines, hash_of_tensors
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.index import INDEX
from keepmap.core.runs.units import Units
from keepmap.core.versions import versions
from keepmap.drawing import answers_by_memory, evidence_kept, picture_formats, save_figure
from keepmap.errors import InputError, counted, escaped, kind_of, on_one_line
from keepmap.kv.data.texts import read_texts
from keepmap.kv.tasks import (
    FILES,
    PACKAGES,
    Opening,
    TaskRun,
    TaskSession,
    Unit,
    ask_all,
    by_workers,
    card_of,
    first_units,
    openings_of,
    plan_tasks,
    write_tasks,
)
from keepmap.language_model import load_language_model
from keepmap.printing.tasks import critical_lines, gate_lines, header, task_tables, tasks_table, verdict_lines

__all__ = ["ask_tasks", "sweep_tasks"]

SCORES, LIKELIHOODS, KEPT = "answers_by_memory", "answer_nll_by_memory", "evidence_kept"
"""The figures; those that need scores or evidence are made where there are some."""


def ask_tasks(
    tasks: str | Sequence[str] = (),
    density: float | Sequence[float] = 0.5,
    output_dir: str | Path = "task_results",
    overwrite: bool = False,
    format: str = "png",
    model_name: str | Path = "tiny",
    methods: Any = "usual",
    n_samples: int = 10,
    length: int | Sequence[int] = 250,
    n_sink: int | None = None,
    window: int = 32,
    mode: str | None = None,
    chunk_size: int = 1,
    question: str = "after",
    gate: float = 0.8,
    answers: str = "generated",
    max_new_tokens: int | None = None,
    chat_template: bool = False,
    seed: int = 0,
    haystack: str | Path | None = None,
    qa_file: str | Path | None = None,
    workers: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
) -> TaskRun | None:
    """Ask questions with known answers under eviction, print what was answered and kept, write and draw it.

    The arguments are the options of `keepmap tasks`, which `keepmap tasks --help` describes. Without `tasks` they are
    listed, and None is returned. The results have the same bytes on every run, and after any number of stops.

    >>> ask_tasks()  # doctest: +ELLIPSIS
    cwe ...

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
        KeyboardInterrupt: Ctrl-C; the answers that are there are kept.
    """
    if not tasks:
        print("\n".join(tasks_table()))
        return None
    options = dict(locals())
    return _run("tasks", options, None, lambda run: [])


def sweep_tasks(
    tasks: str | Sequence[str] = "facts",
    density: float | Sequence[float] = (0.1, 0.2, 0.5, 0.75),
    data_path: str | Path | None = None,
    output_dir: str | Path = "sweep_results",
    overwrite: bool = False,
    format: str = "png",
    model_name: str | Path = "tiny",
    methods: Any = "usual",
    n_samples: int = 10,
    length: int | Sequence[int] = 250,
    n_sink: int | None = None,
    window: int = 32,
    mode: str | None = None,
    chunk_size: int = 1,
    question: str = "after",
    gate: float = 0.8,
    answers: str = "generated",
    max_new_tokens: int | None = None,
    chat_template: bool = False,
    seed: int = 0,
    haystack: str | Path | None = None,
    qa_file: str | Path | None = None,
    workers: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
) -> TaskRun:
    """Ask at several densities: verdicts on all pairs, critical footprints, and answers drawn against memory.

    The arguments are the options of `keepmap sweep`, which `keepmap sweep --help` describes.

    Raises:
        KeepmapError, KeyboardInterrupt: as `ask_tasks`.
    """
    options = dict(locals())
    texts = None
    if data_path is not None:
        texts = [str(text.text) for text in read_texts(data_path, max_samples=n_samples)[0]]
    return _run("sweep", options, texts, critical_lines)


def _run(verb: str, options: dict[str, Any], texts: list[str] | None, more: Callable[[TaskRun], list[str]]) -> TaskRun:
    """The run of a verb in its folder; `options` are the verb's, `more` are lines after the verdicts."""
    given = dict(options)
    folder, overwrite = as_path("output_dir", given.pop("output_dir")), as_flag("overwrite", given.pop("overwrite"))
    formats, device, dtype = picture_formats(given.pop("format")), given.pop("device"), given.pop("dtype")
    workers = given.pop("workers")
    model_name = given.pop("model_name")
    if not isinstance(model_name, str | Path):
        raise InputError(
            f"expected `model_name` to be a name or a folder, got {kind_of(model_name)}; keepmap.run_tasks takes "
            "loaded models"
        )
    given.pop("data_path", None)
    names, methods, density = (given.pop(name) for name in ("tasks", "methods", "density"))
    plan = plan_tasks(names, methods, density, texts=texts, **given)
    openings = openings_of(plan, model_name, dtype=dtype, device=device, workers=workers)
    read = [Path(path) for name in ("haystack", "qa_file") if (path := options[name]) is not None]
    identity = Identity(
        verb=verb,
        options={
            "tasks": [task.name for task in plan.tasks],
            "methods": [each.key for each in plan.methods[plan.densities[0]]],
            "density": list(plan.densities),
            "model_name": str(model_name),
            "dtype": dtype,
            **{name: str(value) if isinstance(value, Path) else value for name, value in given.items()},
            "length": list(plan.lengths),
        },
        versions=versions(*PACKAGES),
        hashes={"data": hash_of_lines(texts or []), "files": hash_of_files(read), "plugins": hash_of_files(plugins())},
    )
    figures = [f"{stem}.{name}" for stem in (SCORES, LIKELIHOODS, KEPT) for name in formats]
    with RunFolder(folder, identity, overwrite=overwrite) as place:
        place.check([*FILES, *figures])
        language_model = load_language_model(model_name, device=device, dtype=dtype)
        session = TaskSession(plan, language_model)
        units_first = first_units(session)
        names_first = [unit.name for unit in units_first]
        place.begin(names_first, [*FILES, INDEX, *figures], model=hash_of_tensors(language_model.model.state_dict()))
        units = Units(place, names_first)
        print("\n".join(map(escaped, header(language_model.label, plan, session.left_out))), flush=True)
        n_units = 2 * len(units_first)
        with (
            saying_what_is_kept(lambda: f"{units.n_done} of {counted(n_units, 'unit')} finished at most"),
            share_of_work("Asking", Console(stderr=True, highlight=False), total=100.0) as progress,
        ):
            ahead = partial(_by_workers, units, openings, folder)
            run = ask_all(session, card_of(session, command()), units.once, progress, place.add_units, ahead)
        write_tasks(folder, run)
        paths = [folder / FILES[0], *_pictures(run, folder, formats)]
        place.finish([*FILES, INDEX, *(path.name for path in paths[1:])])
    lines = [*gate_lines(run, plan.gate), *task_tables(run), *verdict_lines(run), *more(run), ""]
    print("\n".join([*map(escaped, lines), *(f"Saved {on_one_line(path)}" for path in paths)]), flush=True)
    return run


def _by_workers(recorded: Units, openings: Sequence[Opening], folder: Path, units: Sequence[Unit]) -> Iterator[None]:
    """Record what is left of the units, by several processes; by one, each is done when its turn comes."""
    left = [] if len(openings) == 1 else [unit for unit in units if not recorded.has(unit.name)]
    for unit, answers in by_workers(left, openings, folder):
        if answers is None:
            print(f"A worker died on {unit.name}; another one goes on", file=sys.stderr, flush=True)
        else:
            recorded.once(unit.name, partial(list, answers))
            yield


def _pictures(run: TaskRun, folder: Path, formats: Sequence[str]) -> list[Path]:
    paths = save_figure(answers_by_memory(run, measure="nll"), folder, LIKELIHOODS, formats)
    if any(row.score is not None for row in run.summary):
        paths += save_figure(answers_by_memory(run), folder, SCORES, formats)
    if any(row.by_head is not None for row in run.answers if row.task in run.tasks):
        paths += save_figure(evidence_kept(run), folder, KEPT, formats)
    return paths
