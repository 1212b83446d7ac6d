"""Units spread over processes: each loads the model, asks what it is told to, and sends the answers."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from keepmap.core.processes import Crew, JobMessage, WorkerDied, run_crew
from keepmap.kv.comparison.workers import choose_devices
from keepmap.kv.tasks.plan import TaskPlan
from keepmap.kv.tasks.running import Unit
from keepmap.kv.tasks.session import TaskSession, open_session

__all__ = ["Opening", "by_workers", "openings_of"]


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a process makes itself ready: the plan, and the model on its device."""

    plan: TaskPlan
    model_name: str
    dtype: str
    device: str


def openings_of(
    plan: TaskPlan, model_name: str | Path, *, dtype: str, device: str, workers: int | None
) -> list[Opening]:
    """One for each process, spread over the GPUs where there are some.

    Raises:
        InputError: no process at all.
    """
    devices = choose_devices(device, None, workers)
    return [Opening(plan=plan, model_name=str(model_name), dtype=dtype, device=each) for each in devices]


def by_workers(
    units: Sequence[Unit], openings: Sequence[Opening], folder: Path
) -> Generator[tuple[Unit, list[dict[str, Any]] | None], None, None]:
    """Each unit with its answers as JSON values, as they come; with None where a process died on it, and one goes on.

    Args:
        openings: one for each process. folder: of the run.

    Raises:
        KeepmapError: what a process raised, or WorkerError where a unit killed two of them.
    """
    crew = Crew(
        set_up=_open,
        work=_ask,
        threads=torch.get_num_threads(),
        describe=_place,
        advice="use fewer `workers` or a smaller `length`; what is finished is kept",
        parts=(),
    )
    with closing(run_crew(crew, openings[: len(units)], lambda facts: units, folder)) as events:
        for event in events:
            match event:
                case JobMessage(index, values):
                    yield units[index], values
                case WorkerDied(int(index), _):
                    yield units[index], None


def _open(opening: Opening) -> tuple[TaskSession, None]:
    return open_session(opening.plan, opening.model_name, dtype=opening.dtype, device=opening.device), None


def _ask(session: TaskSession, unit: Unit, send: Any) -> None:
    send(unit.values(session))


def _place(unit: Unit | None) -> str:
    return "while loading the model" if unit is None else f"on sample {unit.sample} of {unit.task}"
