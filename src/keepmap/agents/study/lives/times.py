"""How long an action takes under each choice of what is kept. Times are no results: they lie in a file of their own."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from keepmap.agents.acting.agent import Agent
from keepmap.agents.study.plan import PlannedRun
from keepmap.agents.study.timings import action_seconds
from keepmap.core.processes import one_thread
from keepmap.core.progress import Progress, part_of
from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError

__all__ = ["TIMES_FILE", "measured_times", "read_times"]

TIMES_FILE = "action_time.json"
"""What it is called in the folder of a study."""


def measured_times(
    agent: Agent, plan: Sequence[PlannedRun], path: Path, progress: Progress | None = None
) -> Mapping[str, float]:
    """Seconds of an action of one life by the label of each choice: measured with one thread, and kept at `path`.

    What was measured before is read again.

    Raises:
        InputError: what was stored is damaged.
        OutputError: it cannot be written.
    """
    times = dict(read_times(path)) if path.exists() else {}
    with one_thread():
        for number, planned in enumerate(plan):
            label = planned.label
            if label not in times:
                times[label] = action_seconds(agent, planned.make(), 1)
                write_document(path, times)
            part_of(progress, number, len(plan))(1.0)
    return times


def read_times(path: Path) -> Mapping[str, float]:
    """What was measured of a study's choices.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    try:
        times: dict[str, float] = read_document(path)
        if not all(type(value) is float and 0 < value < math.inf for value in times.values()):
            raise ValueError("expected seconds of each choice")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"cannot read {path} ({' '.join(str(error).split())}); delete it to measure again") from None
    return times
