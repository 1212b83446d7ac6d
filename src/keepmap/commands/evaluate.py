"""Evaluating agents: choose checkpoints and goals, let them play, print and write what came of it."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.checkpoints import EMBEDDED, newest_run, run_of
from keepmap.agents.compressor import Compressor, make_compressor
from keepmap.agents.environments.goals import Goal
from keepmap.agents.evaluation.evaluate import check_evaluation, check_folds, evaluate, evaluate_folds
from keepmap.agents.evaluation.returns import Evaluation, write_evaluation
from keepmap.commands.progress import progress_bar
from keepmap.core.files import make_folder, remove_files, write_json
from keepmap.core.registry import read_options
from keepmap.drawing import learning_curve, save_figure
from keepmap.drawing.parts.caption import model_label
from keepmap.drawing.parts.files import FORMATS, picture_formats
from keepmap.errors import InputError
from keepmap.printing.evaluation import header, summary, table

__all__ = ["evaluate_agents"]

RESULT, TIMINGS, FIGURE = "evaluation.json", "timings.json", "learning_curve"
NONE = "none"


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
    agents, chosen = _agents(checkpoint)
    wanted = _goals(agents, goals)
    compressors = [_compressor(agent, compressor, settings) for agent in agents]
    check_evaluation(agents[0].room, wanted, episodes, copies, seed)
    folder = _folder(agents, output_dir)
    print("\n".join([*chosen, *header(agents[0], wanted, compressors, episodes, copies, seed)]), flush=True)
    begun = time.perf_counter()
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        total = len(wanted) * copies * episodes * agents[0].room.horizon
        task = progress.add_task("Steps", total=total)

        def show(share: float) -> None:
            progress.update(task, completed=round(share * total))

        if len(agents) > 1:
            evaluation = evaluate_folds(
                agents, episodes=episodes, copies=copies, seed=seed, compressors=compressors, progress=show
            )
        else:
            evaluation = evaluate(
                agents[0],
                wanted,
                episodes=episodes,
                copies=copies,
                seed=seed,
                compressor=compressors[0],
                progress=show,
            )
    seconds = time.perf_counter() - begun
    label = f"{len(agents)} folds" if len(agents) > 1 else model_label(agents[0].name)
    paths = _write(evaluation, folder, formats, label, {"seconds": seconds, "steps": total})
    print("\n".join([*table(evaluation), *summary(evaluation), *(f"Saved {path}" for path in paths)]), flush=True)
    return evaluation


def _agents(asked: str | Path | Sequence[str | Path]) -> tuple[list[Agent], list[str]]:
    """The agents, and lines that say which they are."""
    names = [asked] if isinstance(asked, str | Path) else list(asked)
    if not names:
        newest = newest_run()
        agent = load_agent(EMBEDDED if newest is None else newest)
        why = "the embedded agent: no checkpoint in runs" if newest is None else "the newest in runs"
        return [agent], [f"Checkpoint: {agent.name} ({why})"]
    agents = [load_agent(name) for name in names]
    if len(agents) > 1:
        check_folds(agents)
        return agents, ["Checkpoints, each on its own held-out goals:", *(f"  {agent.name}" for agent in agents)]
    return agents, [f"Checkpoint: {agents[0].name}"]


def _goals(agents: Sequence[Agent], asked: str | Sequence[str]) -> list[Goal]:
    words = asked.split() if isinstance(asked, str) else " ".join(asked).split()
    agent = agents[0]
    if len(agents) > 1:
        if words != ["held_out"]:
            raise InputError(
                f'the goals "{" ".join(words)}" were asked for with {len(agents)} checkpoints; each is evaluated on '
                "its own held-out goals: leave --goals out"
            )
        return [goal for one in agents for goal in one.held_out]
    sides = {"held_out": agent.held_out, "train": agent.train, "all": agent.room.goals}
    if len(words) == 1 and words[0] in sides:
        goals = list(sides[words[0]])
        if not goals:
            raise InputError(f"{agent.name} has no {words[0]} goals; name goals with --goals, or use --goals all")
        return goals
    text = re.sub(r",\s+", ",", " ".join(words))
    goals = []
    for word in text.split():
        if not re.fullmatch(r"\d+(,\d+)*|\(\d+(,\d+)*\)", word):
            raise InputError(f'the goal "{word}" was asked for; write cells as "4,2 5,6", or held_out, train or all')
        goals.append(tuple(int(part) for part in word.strip("()").split(",")))
    return goals


def _compressor(agent: Agent, name: str | None, settings: Sequence[str]) -> Compressor | None:
    options = read_options(settings)
    if options and name in (None, NONE):
        raise InputError(f"--set {' '.join(settings)} was given without a compressor; name it with --compressor")
    if name is None:
        return agent.compressor
    return None if name == NONE else make_compressor(name, options)


def _folder(agents: Sequence[Agent], asked: str | Path | None) -> Path:
    run = run_of(agents[0].name) if len(agents) == 1 else None
    return make_folder(Path(asked) if asked is not None else run or Path("evaluation_results"))


def _write(
    evaluation: Evaluation, folder: Path, formats: Sequence[str], label: str, timings: dict[str, float]
) -> list[Path]:
    drawn = learning_curve({label: evaluation})
    # The result comes first, in the place of an earlier one; whatever fails after it leaves nothing of that one behind.
    write_evaluation(folder / RESULT, evaluation)
    remove_files([folder / TIMINGS, *(folder / f"{FIGURE}.{name}" for name in FORMATS)])
    write_json(folder / TIMINGS, timings)
    return [folder / RESULT, *save_figure(drawn, folder, FIGURE, formats)]
