"""A study of a family: its agents live under every compressor, and what came of it is printed and written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from keepmap.agents.acting import Agent, hash_of_agent
from keepmap.agents.config import load_config
from keepmap.agents.evaluation.evaluate import PACKAGES
from keepmap.agents.families import expected_returns
from keepmap.agents.study.job import load_baselines
from keepmap.agents.study.lives import (
    LIVES_FILE,
    TIMES_FILE,
    FamilyStudy,
    Lived,
    findings_of,
    lived,
    measured_times,
    planned_lives,
    write_family_study,
)
from keepmap.commands.progress import share_of_work
from keepmap.core.arguments import as_integer, as_path
from keepmap.core.files import write_text
from keepmap.core.joining.plugins import plugins
from keepmap.core.progress import part_of
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.hashes import hash_of_files, hash_of_lines
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.index import INDEX
from keepmap.core.runs.units import Units
from keepmap.core.versions import versions
from keepmap.errors import InputError, counted, on_one_line
from keepmap.printing.lives import findings, lives_page, lives_table

__all__ = ["study_family"]

FILES = ("study.csv", "study.md", LIVES_FILE, TIMES_FILE)


def study_family(
    family: str,
    checkpoint: Sequence[str | Path],
    compressors: str | Sequence[str],
    budgets: Sequence[float],
    seeds: int | None,
    copies: int,
    output_dir: str | Path,
    overwrite: bool,
) -> FamilyStudy:
    """Let agents of a family live under every compressor at every budget, in rollout only; what was stopped goes on.

    Args:
        checkpoint: the agents, one for each training seed; none for those that the family's recipe has trained.
        seeds: how many of these.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    as_integer("copies", copies, 1)
    agents = load_baselines(list(checkpoint) or _trained(family, 1 if seeds is None else seeds))
    world, folder = agents[0].room, as_path("output_dir", output_dir)
    if world.name != family:
        raise InputError(f"expected `checkpoint` to be of {family}, got an agent of {world.name}: {agents[0].name}")
    plan = planned_lives(compressors, budgets, agents[0].config.n_transit)
    identity = _identity(agents, copies)
    names = [f"lives/{planned}.json" for planned in plan]
    with RunFolder(folder, identity, overwrite=overwrite) as place:
        place.check([*FILES, INDEX])
        place.begin(names, [*FILES, INDEX])
        units = Units(place, names)
        print(
            f"{world.title}: {counted(len(agents), 'agent')}, {counted(len(agents[0].held_out), 'task')} that no "
            f"training saw, each {counted(copies, 'time')}; {len(plan)} choices of what is kept, "
            f"{units.n_done} of them done already",
            flush=True,
        )
        lives = []
        with share_of_work("Lives", Console(stderr=True, highlight=False), total=float(len(plan))) as progress:
            for number, (planned, name) in enumerate(zip(plan, names, strict=True)):
                share = part_of(progress, number, len(plan))
                lives.append(
                    units.value(
                        name,
                        lambda planned=planned, share=share: lived(agents, planned, copies, share),  # type: ignore[misc]
                        Lived.document,
                        Lived.from_document,
                    )
                )
        best, random = expected_returns(world, agents[0].held_out, lives[0].returns.shape[-1])
        options = {"world": world.title, "command": _command(family, checkpoint, compressors, budgets, seeds, copies)}
        study = findings_of(lives, best, random, options, versions(*PACKAGES))
        for name, text in (("study.csv", study.to_csv()), ("study.md", lives_page(study))):
            write_text(folder / name, text)
        write_family_study(folder / LIVES_FILE, lives, best, random, options, versions(*PACKAGES))
        with share_of_work("Times", Console(stderr=True, highlight=False), total=float(len(plan))) as progress:
            study = replace(study, times=measured_times(agents[0], plan, folder / TIMES_FILE, progress))
        place.finish()
    print("\n".join(["", *findings(study), "", *lives_table(study), ""]))
    print("\n".join(f"Saved {on_one_line(folder / name)}" for name in FILES), flush=True)
    return study


def _trained(family: str, seeds: int) -> list[Path]:
    """Where the family's recipe leaves its agents."""
    as_integer("seeds", seeds, 1)
    recipe = f"config/env/{family}.yaml"
    return [load_config(recipe, [f"train_seed={seed}"]).run_folder() for seed in range(seeds)]


def _identity(agents: Sequence[Agent], copies: int) -> Identity:
    return Identity(
        verb="study",
        options={"checkpoint": [agent.name for agent in agents], "copies": copies},
        versions=versions(*PACKAGES),
        hashes={"checkpoint": hash_of_lines(map(hash_of_agent, agents)), "plugins": hash_of_files(plugins())},
    )


def _command(
    family: str,
    checkpoint: Sequence[str | Path],
    compressors: str | Sequence[str],
    budgets: Sequence[float],
    seeds: int | None,
    copies: int,
) -> str:
    words = ["keepmap study --family", family]
    names = [compressors] if isinstance(compressors, str) else list(compressors)
    for option, values in (("checkpoint", checkpoint), ("compressors", names), ("budgets", budgets)):
        words += [f"--{option}", *(f"{value:g}" if isinstance(value, float) else f"{value}" for value in values)] * (
            bool(values)
        )
    words += [f"--seeds {seeds}"] * (seeds is not None)
    return " ".join([*words, f"--copies {copies}"])
