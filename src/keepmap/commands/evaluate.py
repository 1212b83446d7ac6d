"""Evaluating agents: choose checkpoints and goals, let them play, print and write what came of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from keepmap.agents.acting import Agent, hash_of_agent
from keepmap.agents.checkpoints import EMBEDDED, newest_run, run_of
from keepmap.agents.compressor import AS_TRAINED, WHOLE_WINDOW, Compressor, make_compressor
from keepmap.agents.evaluation.evaluate import PACKAGES, Returns, play_protocol
from keepmap.agents.evaluation.protocol import Protocol, protocol_of, resolve_agents
from keepmap.agents.evaluation.returns import FILE, Evaluation, write_evaluation
from keepmap.commands.progress import saying_what_is_kept, share_of_work
from keepmap.core.arguments import as_flag, as_path
from keepmap.core.files import write_json
from keepmap.core.joining.options import read_options
from keepmap.core.joining.plugins import joined, plugins
from keepmap.core.labels import model_label
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.hashes import hash_of_files, hash_of_lines
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.index import INDEX, read_index
from keepmap.core.runs.place import folder_for
from keepmap.core.runs.units import Units
from keepmap.core.versions import versions
from keepmap.drawing import learning_curve, picture_formats, save_figure, save_joined_figures
from keepmap.errors import InputError, counted, on_one_line
from keepmap.printing.evaluation import header, summary, table

__all__ = ["evaluate_agents"]

TIMINGS, FIGURE = "timings.json", "learning_curve"
IN_RUN, ELSEWHERE = "evaluation", Path("evaluation_results")
"""Where results go: a folder of the training's run, or one of their own for the embedded agent and for folds."""


def evaluate_agents(
    checkpoint: str | Path | Sequence[str | Path] = (),
    goals: str | Sequence[str] = "held_out",
    episodes: int | None = None,
    copies: int = 1,
    seed: int = 0,
    compressor: str | None = None,
    settings: Sequence[str] = (),
    output_dir: str | Path | None = None,
    overwrite: bool = False,
    format: str = "png",
) -> Evaluation:
    """Let an agent learn its held-out goals in context, print its returns, write them and their learning curve.

    The arguments are the options of `keepmap evaluate`, which `keepmap evaluate --help` describes. The results have the
    same bytes on every run, and after any number of stops: the same call goes on with the folds that are left.

    Args:
        overwrite: whether what another evaluation made in the folder is removed; without it, that is an error. Where no
            `output_dir` is given, another evaluation has another folder.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
        KeyboardInterrupt: Ctrl-C; the folds that are finished are kept.
    """
    formats = picture_formats(format)
    agents, heading = _agents(checkpoint)
    protocol = protocol_of(
        agents, goals, episodes=episodes, copies=copies, seed=seed, compressor=_compressor(compressor, settings)
    )
    identity = _identity(protocol, goals, AS_TRAINED if compressor is None else compressor, settings)
    overwrite = as_flag("overwrite", overwrite)
    folder = _folder(agents, output_dir, identity, overwrite)
    names = [f"folds/fold_{index:03d}.json" for index in range(len(agents))]
    files = [FILE, TIMINGS, INDEX, *(f"{stem}.{name}" for stem in (FIGURE, *joined("figure")) for name in formats)]
    with RunFolder(folder, identity, overwrite=overwrite) as place:
        place.check(files)
        place.begin(names, files)
        units = Units(place, names)
        print("\n".join([*heading, *header(protocol), *_reused(units.n_done, len(names))]), flush=True)
        with saying_what_is_kept(lambda: f"{units.n_done} of {counted(len(names), 'fold')} finished"):
            evaluation = _played(protocol, units, names)
            index = read_index(folder)
            timings = {"seconds": sum(index.get(name, 0.0) for name in names), "steps": protocol.steps}
            paths = _write(evaluation, folder, formats, _label(protocol), timings)
            place.finish()
        print(
            "\n".join([*table(evaluation), *summary(evaluation), *(f"Saved {on_one_line(path)}" for path in paths)]),
            flush=True,
        )
    return evaluation


def _label(protocol: Protocol) -> str:
    """Which agents have what before them when they act."""
    agents, acting = protocol.agents, protocol.compressors[0]
    name = counted(len(agents), "fold") if len(agents) > 1 else model_label(agents[0].name)
    return name if acting is None else f"{name}, {acting.name}, at most {acting.max_length}"


def _played(protocol: Protocol, units: Units, names: Sequence[str]) -> Evaluation:
    """What came of the folds, each played where no record of it is there."""

    def played(index: int, play: Callable[[], Returns]) -> Returns:
        shape = (len(protocol.goals[index]), protocol.copies, protocol.episodes)
        return units.value(names[index], play, _as_json, lambda value: _of_json(value, shape))

    with share_of_work("Steps", Console(stderr=True, highlight=False), total=float(protocol.steps)) as progress:
        return play_protocol(protocol, progress, played)


def _as_json(returns: Returns) -> list[list[str]]:
    """A line for each goal and copy."""
    return [[" ".join(map(repr, values.tolist())) for values in of_goal] for of_goal in returns]


def _of_json(value: Any, shape: tuple[int, int, int]) -> Returns:
    returns = np.array([[[float(word) for word in line.split()] for line in lines] for lines in value], dtype=float)
    if returns.shape != shape:
        raise ValueError(f"returns of the shape {returns.shape}")
    return returns


def _identity(protocol: Protocol, goals: str | Sequence[str], compressor: str, settings: Sequence[str]) -> Identity:
    agents = protocol.agents
    words = goals.split() if isinstance(goals, str) else [str(goal) for goal in goals]
    cells = [",".join(map(str, goal)) for goal in protocol.goals[0]]
    return Identity(
        verb="evaluate",
        options={
            "checkpoint": [agent.name for agent in agents],
            "goals": words[0] if words in (["held_out"], ["train"], ["all"]) else " ".join(cells),
            "episodes": protocol.episodes,
            "copies": protocol.copies,
            "seed": protocol.seed,
            "compressor": compressor,
            "settings": dict(sorted(read_options(settings).items())),
        },
        versions=versions(*PACKAGES),
        hashes={
            "checkpoint": hash_of_lines(map(hash_of_agent, agents)),
            "plugins": hash_of_files(plugins()),
        },
    )


def _reused(n_done: int, n_folds: int) -> list[str]:
    if not n_done:
        return []
    if n_done == n_folds:
        return ["Finished already: the returns are there", ""]
    return [f"Goes on: {n_done} of {n_folds} folds are there already", ""]


def _agents(checkpoint: str | Path | Sequence[str | Path]) -> tuple[Sequence[Agent], list[str]]:
    """The agents, and lines that say which they are."""
    names = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    if not names:
        newest = newest_run()
        (agent,) = resolve_agents(EMBEDDED if newest is None else newest)
        why = "the embedded agent: no checkpoint in runs" if newest is None else "the newest in runs"
        return [agent], [f"Checkpoint: {on_one_line(agent.name)} ({why})"]
    agents = resolve_agents(names)
    if len(agents) > 1:
        return agents, [
            "Checkpoints, each on its own held-out goals:",
            *(f"  {on_one_line(agent.name)}" for agent in agents),
        ]
    return agents, [f"Checkpoint: {on_one_line(agents[0].name)}"]


def _compressor(name: str | None, settings: Sequence[str]) -> Compressor | str:
    options = read_options(settings)
    if name is None or name in (AS_TRAINED, WHOLE_WINDOW):
        if options:
            raise InputError(f"{' '.join(settings)} in `settings` needs a compressor; name it with `compressor`")
        return AS_TRAINED if name is None else name
    return make_compressor(name, options)


def _folder(agents: Sequence[Agent], output_dir: str | Path | None, identity: Identity, overwrite: bool) -> Path:
    if output_dir is not None:
        return as_path("output_dir", output_dir)
    run = run_of(agents[0].name) if len(agents) == 1 else None
    usual = ELSEWHERE if run is None else run / IN_RUN
    return usual if overwrite else folder_for(usual, identity)


def _write(
    evaluation: Evaluation, folder: Path, formats: Sequence[str], label: str, timings: dict[str, float]
) -> list[Path]:
    write_evaluation(folder / FILE, evaluation)
    write_json(folder / TIMINGS, timings)
    return [
        folder / FILE,
        *save_figure(learning_curve({label: evaluation}, as_share=any(evaluation.optimum)), folder, FIGURE, formats),
        *save_joined_figures(evaluation, folder, "{name}", formats),
    ]
