"""Which trained agent a command means that names none: the newest in `runs/`, or the embedded one."""

from pathlib import Path

from keepmap.agents.acting.agent import EMBEDDED
from keepmap.agents.checkpoints import newest_checkpoint

__all__ = ["RUNS", "newest_run", "run_of"]

RUNS = Path("runs")


def newest_run(runs: Path = RUNS) -> Path | None:
    """The run whose last checkpoint was written last; None where there is no checkpoint."""
    found = [
        (checkpoint.stat().st_mtime_ns, run.name, run)
        for run in sorted(runs.glob("*"))
        if run.is_dir() and (checkpoint := newest_checkpoint(run)) is not None
    ]
    return max(found)[-1] if found else None


def run_of(checkpoint: str) -> Path | None:
    """The folder that results about an agent of this name go into: its run's; None for the embedded agent."""
    if checkpoint == EMBEDDED:
        return None
    folder = Path(checkpoint)
    return folder.parent if newest_checkpoint(folder.parent) is not None else folder
