"""How long an action takes under each choice of what is kept. Times are no results: they lie in a file of their own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keepmap.agents.acting.agent import Agent
from keepmap.agents.study.plan import PlannedRun
from keepmap.agents.study.timings import action_seconds, read_times
from keepmap.core.processes import one_thread
from keepmap.core.progress import Progress, part_of
from keepmap.core.storage.documents import write_document

__all__ = ["measured_times"]


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
