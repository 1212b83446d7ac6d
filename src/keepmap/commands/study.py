"""A study of compressors: plan it, spread its runs over processes, print, draw and write what came of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keepmap.agents.acting import Agent
from keepmap.agents.checkpoints import EMBEDDED
from keepmap.agents.config import Config, load_config
from keepmap.agents.study.job import StudyJob, finished, jobs_of, load_baselines
from keepmap.agents.study.lives import FamilyStudy
from keepmap.agents.study.place import StudyPlace
from keepmap.agents.study.plan import BUDGETS, plan_study
from keepmap.agents.study.results import BASELINE, FILE, Study, StudyRow, write_study
from keepmap.agents.study.run import do_job
from keepmap.agents.study.summary import study_of
from keepmap.agents.study.timings import action_times_path, measured_times, stored_action_times
from keepmap.commands.progress import progress_bar
from keepmap.commands.studying import study_family
from keepmap.commands.training.agent import collect_missing
from keepmap.core.arguments import as_path
from keepmap.core.files import remove_files, write_json, write_text
from keepmap.core.joining.plugins import joined
from keepmap.core.processes import run_jobs
from keepmap.drawing import FORMATS, compressor_study, picture_formats, save_figure, save_joined_figures
from keepmap.errors import InputError, OutputError, on_one_line
from keepmap.printing.study import header, legend, markdown, notes, promise_lines, table

__all__ = ["study_compressors"]

STEM, TIMINGS = "study", "timings.json"


def study_compressors(
    family: str | None = None,
    checkpoint: str | Path | Sequence[str | Path] = EMBEDDED,
    compressors: str | Sequence[str] = "usual",
    budgets: Sequence[float] = BUDGETS,
    seeds: int | None = None,
    updates: int | None = None,
    from_scratch: bool = False,
    copies: int = 8,
    config: Sequence[str] = (),
    settings: Sequence[str] = (),
    workers: int | None = None,
    output_dir: str | Path = "study_results",
    overwrite: bool = False,
    format: str = "png",
) -> Study | FamilyStudy:
    """Train and evaluate agents whose histories are shortened, compare them with the baseline, and write all of it.

    The arguments are the options of `keepmap study`, which `keepmap study --help` describes. The results have the same
    bytes on every run and for any number of workers, but for times. Runs that are done are not done again, and those
    that were stopped go on.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do. Runs that are done are kept,
            as after Ctrl-C.
    """
    if family is not None:
        refused = {"updates": updates, "from_scratch": from_scratch, "config": config, "settings": settings}
        for name, value in (refused | {"workers": workers, "format": format != "png"}).items():
            if value:
                raise InputError(
                    f"`{name}` is given, and a study of a family trains and draws nothing, in one process: leave it out"
                )
        given = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
        given = [] if given == [EMBEDDED] else given
        return study_family(family, given, compressors, budgets, seeds, copies, output_dir, overwrite)
    formats = picture_formats(format)
    if workers is not None and workers < 1:
        raise InputError(f"expected `workers` to be 1 or more, got {workers}")
    agents = load_baselines([checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint) or [EMBEDDED])
    plan = plan_study(compressors, budgets, seeds, agents[0].config.n_transit, len(agents))
    folder = as_path("output_dir", output_dir)
    jobs = jobs_of(
        plan,
        agents,
        folder,
        config=load_config(config) if config else None,
        settings=settings,
        updates=updates,
        from_scratch=from_scratch,
        copies=copies,
    )
    trained = next(job.config for job in jobs if job.config is not None)
    options = {
        "command": _command(
            checkpoint=[agent.name for agent in agents],
            compressors=[compressors] if isinstance(compressors, str) else compressors,
            budgets=[f"{percent:g}" for percent in budgets],
            seeds=[] if seeds is None else [seeds],
            updates=[] if updates is None else [updates],
            from_scratch=from_scratch,
            copies=[copies],
            config=config,
            set=settings,
        ),
        **_options(agents, trained, max(planned.seed for planned in plan) + 1, from_scratch, copies),
    }
    place = StudyPlace(folder, jobs, overwrite=overwrite)
    place.check()
    left = place.left()
    for job in jobs:
        if job not in left:
            stored_action_times(job)
    # By where they go, so that each is collected once.
    for training in {job.config.histories_path(): job.config for job in left if job.config is not None}.values():
        collect_missing(training, overwrite)
    with place:
        place.begin(_outputs(formats), _outputs(FORMATS))
        left = place.left()
        processes = workers or os.cpu_count() or 1
        lines = header(
            [agent.name for agent in agents],
            agents[0].config,
            jobs,
            held_out=len(agents[0].held_out),
            left=len(left),
            workers=processes,
            from_scratch=from_scratch,
        )
        print("\n".join(lines), flush=True)
        _run(left, processes, folder)
        if gone := place.left():
            raise OutputError(f"{gone[0]} has lost its result, in {gone[0].folder}; the same command does it again")
        study = study_of(jobs, options)
        timings = _times(jobs, study.results)
        paths = _write(study, timings, folder, formats)
        place.finish([path.relative_to(folder).as_posix() for path in paths])
    print("\n".join(["", *table(study, timings), "", *legend(study), "", *promise_lines(study), ""]))
    print("\n".join(f"Saved {on_one_line(path)}" for path in paths), flush=True)
    return study


def _run(jobs: Sequence[StudyJob], workers: int, folder: Path) -> None:
    if not jobs:
        return
    remove_files(map(action_times_path, jobs))
    weights = [job.weight for job in jobs]
    shares = [0.0] * len(jobs)
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        # Of the work, not of the number of runs, so that the time left is right.
        task = progress.add_task("Runs", total=len(jobs))

        def see_share(index: int, share: float) -> None:
            shares[index] = share
            done = sum(weight * share for weight, share in zip(weights, shares, strict=True)) / sum(weights)
            progress.update(task, completed=done * len(jobs), description=f"Runs, now {jobs[index].planned}")
            if share == 1.0:
                run = finished(jobs[index])
                # Where its folder was taken away in this moment, the end of the study says so.
                mean = "gone" if run is None else f"{run.early.mean():.2f}"
                print(f"  {jobs[index].planned}: return {mean}", flush=True)

        def see_death(index: int, exit_code: int | None) -> None:
            shares[index] = 0.0
            print(
                f"  a worker died on {jobs[index].planned} (exit code {exit_code}); another one takes over", flush=True
            )

        run_jobs(jobs, do_job, workers, folder, see_share, see_death)


def _times(jobs: Sequence[StudyJob], rows: Sequence[StudyRow]) -> dict[str, dict[str, float]]:
    with progress_bar(Console(stderr=True, highlight=False)) as bar:
        total = sum(row.trained for row in rows)
        task = bar.add_task("Action times", total=total)
        return measured_times(jobs, rows, lambda share: bar.update(task, completed=share * total))


def _command(**options: Any) -> str:
    """The command line that gives these results, without what is usual."""
    usual = {"checkpoint": [EMBEDDED], "compressors": ["usual"], "copies": [8]}
    usual["budgets"] = [f"{percent:g}" for percent in BUDGETS]
    words = ["keepmap study"]
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name}"] * value
        elif value and list(value) != usual.get(name):
            words += [f"--{name}", *map(str, value)]
    return " ".join(words)


def _options(
    agents: Sequence[Agent], config: Config, plan_seeds: int, from_scratch: bool, copies: int
) -> dict[str, Any]:
    return {
        "checkpoints": [agent.name for agent in agents],
        "room": {"name": agents[0].room.name, **agents[0].room.options},
        "goals": [list(goal) for goal in agents[0].held_out],
        "n_transit": agents[0].config.n_transit,
        "n_slide": agents[0].config.slide(),
        "from_scratch": from_scratch,
        "updates": config.train_timesteps,
        "lr": config.lr,
        "seeds": plan_seeds,
        "copies": copies,
        "notes": notes(len(agents), config.train_timesteps, from_scratch, plan_seeds),
    }


def _outputs(formats: Sequence[str]) -> list[str]:
    """The names of what a study may write, with pictures in these formats."""
    figures = [f"{stem}.{name}" for stem in (STEM, *joined("figure")) for name in formats]
    return [FILE, f"{STEM}.csv", f"{STEM}.md", TIMINGS, *figures]


def _write(study: Study, timings: dict[str, dict[str, float]], folder: Path, formats: Sequence[str]) -> list[Path]:
    write_study(folder / FILE, study)
    write_json(folder / TIMINGS, {"threads": 1, "seconds": timings})
    texts = {f"{STEM}.csv": study.to_csv(), f"{STEM}.md": markdown(study, timings, f"{STEM}.{formats[0]}")}
    for name, text in texts.items():
        write_text(folder / name, text)
    paths = [folder / FILE, folder / TIMINGS, *(folder / name for name in texts)]
    if any(row.share is not None for row in study.results if row.compressor != BASELINE):
        paths += save_figure(compressor_study(study), folder, STEM, formats)
    return paths + save_joined_figures(study, folder, "{name}", formats)
