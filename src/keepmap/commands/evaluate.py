"""Evaluating agents: choose checkpoints and goals, let them play, print and write what came of it."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from keepmap.agents.acting.agent import Agent
from keepmap.agents.checkpoints import EMBEDDED, newest_run, run_of
from keepmap.agents.compressor import AS_TRAINED, WHOLE_WINDOW, Compressor, make_compressor
from keepmap.agents.evaluation.evaluate import play_protocol
from keepmap.agents.evaluation.protocol import protocol_of, resolve_agents
from keepmap.agents.evaluation.returns import FILE, Evaluation, write_evaluation
from keepmap.commands.progress import share_of_work
from keepmap.core.arguments import as_path
from keepmap.core.files import make_folder, remove_files, write_json
from keepmap.core.joining.options import read_options
from keepmap.core.joining.plugins import joined
from keepmap.core.labels import model_label
from keepmap.drawing import FORMATS, learning_curve, picture_formats, save_figure, save_joined_figures
from keepmap.errors import InputError
from keepmap.printing.evaluation import header, summary, table

__all__ = ["evaluate_agents"]

TIMINGS, FIGURE = "timings.json", "learning_curve"


def evaluate_agents(
    checkpoint: str | Path | Sequence[str | Path] = (),
    goals: str | Sequence[str] = "held_out",
    episodes: int = 500,
    copies: int = 1,
    seed: int = 0,
    compressor: str | None = None,
    settings: Sequence[str] = (),
    output_dir: str | Path | None = None,
    format: str = "png",
) -> Evaluation:
    """Let an agent learn its held-out goals in context, print its returns, write them and their learning curve.

    The arguments are the options of `keepmap evaluate`, which `keepmap evaluate --help` describes. The results have the
    same bytes on every run; an earlier evaluation in the same folder is replaced.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    formats = picture_formats(format)
    agents, heading = _agents(checkpoint)
    protocol = protocol_of(
        agents, goals, episodes=episodes, copies=copies, seed=seed, compressor=_compressor(compressor, settings)
    )
    folder = _folder(agents, output_dir)
    print("\n".join([*heading, *header(protocol)]), flush=True)
    begun = time.perf_counter()
    with share_of_work("Steps", Console(stderr=True, highlight=False), total=float(protocol.steps)) as progress:
        evaluation = play_protocol(protocol, progress)
    seconds = time.perf_counter() - begun
    label = f"{len(agents)} folds" if len(agents) > 1 else model_label(agents[0].name)
    paths = _write(evaluation, folder, formats, label, {"seconds": seconds, "steps": protocol.steps})
    print("\n".join([*table(evaluation), *summary(evaluation), *(f"Saved {path}" for path in paths)]), flush=True)
    return evaluation


def _agents(checkpoint: str | Path | Sequence[str | Path]) -> tuple[Sequence[Agent], list[str]]:
    """The agents, and lines that say which they are."""
    names = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    if not names:
        newest = newest_run()
        (agent,) = resolve_agents(EMBEDDED if newest is None else newest)
        why = "the embedded agent: no checkpoint in runs" if newest is None else "the newest in runs"
        return [agent], [f"Checkpoint: {agent.name} ({why})"]
    agents = resolve_agents(names)
    if len(agents) > 1:
        return agents, ["Checkpoints, each on its own held-out goals:", *(f"  {agent.name}" for agent in agents)]
    return agents, [f"Checkpoint: {agents[0].name}"]


def _compressor(name: str | None, settings: Sequence[str]) -> Compressor | str:
    options = read_options(settings)
    if name is None or name in (AS_TRAINED, WHOLE_WINDOW):
        if options:
            raise InputError(f"{' '.join(settings)} in `settings` needs a compressor; name it with `compressor`")
        return AS_TRAINED if name is None else name
    return make_compressor(name, options)


def _folder(agents: Sequence[Agent], output_dir: str | Path | None) -> Path:
    run = run_of(agents[0].name) if len(agents) == 1 else None
    return make_folder(
        as_path("output_dir", output_dir) if output_dir is not None else run or Path("evaluation_results")
    )


def _write(
    evaluation: Evaluation, folder: Path, formats: Sequence[str], label: str, timings: dict[str, float]
) -> list[Path]:
    drawn = learning_curve({label: evaluation})
    # The result comes first, in the place of an earlier one; whatever fails after it leaves nothing of that one behind.
    write_evaluation(folder / FILE, evaluation)
    remove_files(
        [folder / TIMINGS, *(folder / f"{stem}.{name}" for stem in (FIGURE, *joined("figure")) for name in FORMATS)]
    )
    write_json(folder / TIMINGS, timings)
    return [
        folder / FILE,
        *save_figure(drawn, folder, FIGURE, formats),
        *save_joined_figures(evaluation, folder, "{name}", formats),
    ]
