"""How long the runs of a study trained, and how long an action of their agents takes."""

import math
import time
from collections.abc import Sequence, Set
from pathlib import Path

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.checkpoints import find_checkpoint, read_checkpoint
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.families import copies_of
from keepmap.agents.study.job import StudyJob
from keepmap.agents.study.results import BASELINE, StudyRow
from keepmap.core.processes import one_thread
from keepmap.core.progress import Progress, part_of
from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError

__all__ = [
    "ENVS",
    "FILE",
    "action_seconds",
    "action_times",
    "action_times_path",
    "measured_times",
    "read_times",
    "stored_action_times",
]

SLIDES = 4
ENVS = (1, 64)
"""How many environments act at once."""
AGAIN = "again_"
"""Before a number of environments: the baseline's window computed again for each action, without a cache."""
FILE = "action_time.json"
"""What it is called in the folder of a run, or of a study of lives."""


def measured_times(
    jobs: Sequence[StudyJob], rows: Sequence[StudyRow], progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """Seconds of each trained row, by its label: `training_seconds`, and those of `action_times`.

    Training is the mean over seeds; an action is of the first seed, measured with one thread while nothing else runs.

    Raises:
        InputError: action times that were stored are damaged.
    """
    trained = [row for row in rows if row.trained]
    times: dict[str, dict[str, float]] = {}
    with one_thread():
        for index, row in enumerate(trained):
            of_row = [
                job
                for job in jobs
                if job.config is not None
                and (job.planned.compressor, job.planned.percent) == (row.compressor, row.percent)
            ]
            seconds = [float(read_checkpoint(find_checkpoint(job.folder)).facts["seconds"]) for job in of_row]
            first = min(of_row, key=lambda job: job.planned.seed)
            times[row.label] = {"training_seconds": sum(seconds) / len(seconds), **action_times(first)}
            part_of(progress, index, len(trained))(1.0)
    return times


def action_times(job: StudyJob) -> dict[str, float]:
    """Seconds of an action of a finished run, by the number of environments; measured once and kept in its folder.

    Raises:
        InputError: times that were stored are damaged.
        OutputError: they cannot be written.
    """
    stored = stored_action_times(job)
    if stored is not None:
        return stored
    agent, compressor = load_agent(job.folder), job.planned.make()
    times = {str(envs): action_seconds(agent, compressor, envs) for envs in ENVS}
    if job.planned.compressor == BASELINE:
        whole = RecencyCompressor(agent.config.n_transit)
        times |= {f"{AGAIN}{envs}": action_seconds(agent, whole, envs) for envs in ENVS}
    write_document(action_times_path(job), times)
    return times


def stored_action_times(job: StudyJob) -> dict[str, float] | None:
    """The action times of a run that were measured before; None where none were.

    Raises:
        InputError: the file is damaged.
    """
    path = action_times_path(job)
    if not path.exists():
        return None
    names = {f"{again}{envs}" for envs in ENVS for again in ("", AGAIN)[: 1 + (job.planned.compressor == BASELINE)]}
    return read_times(path, names)


def read_times(path: Path, names: Set[str] | None = None) -> dict[str, float]:
    """Seconds that were measured, by what took them.

    Args:
        names: what they are of; None where it may be anything.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    try:
        times: dict[str, float] = read_document(path)
        known = times.keys() if names is None else names
        if times.keys() != known or not all(type(value) is float and 0 < value < math.inf for value in times.values()):
            raise ValueError(f"expected seconds of {', '.join(sorted(known))}")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"cannot read {path} ({' '.join(str(error).split())}); delete it to measure again") from None
    return times


def action_times_path(job: StudyJob) -> Path:
    """Where the action times of a run are kept."""
    return job.folder / FILE


def action_seconds(agent: Agent, compressor: Compressor | None, envs: int) -> float:
    """Seconds for one step of so many environments at once, once the window is full: the mean over four slides of it.

    The environments' own share of it, some microseconds each, is included.
    """
    config, room = agent.config, agent.room
    first, last = config.n_transit + 1, config.n_transit + 1 + SLIDES * config.slide()
    ends: list[float] = []
    known = (*agent.held_out, *agent.train)
    goals = [known[index % len(known)] for index in range(envs)]
    agent.play(
        copies_of(room, goals),
        -(-(last + 1) // room.horizon),
        compressor=compressor,
        progress=lambda share: ends.append(time.perf_counter()),
    )
    return (ends[last] - ends[first]) / (last - first)
