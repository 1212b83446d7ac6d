"""From a finished run to the agent that the package ships: `python -m keepmap.recipes.agent RUN`."""

import sys
from pathlib import Path
from shutil import copyfile

from keepmap.agents.acting import load_agent
from keepmap.agents.checkpoints import FACTS, MODEL, find_checkpoint
from keepmap.core.files import make_folder, written_whole
from keepmap.errors import InputError, KeepmapError

__all__ = ["export"]

LARGEST = 2_000_000  # bytes


def export(run: str | Path, folder: Path) -> None:
    """Copy the weights and the facts of a run's newest checkpoint, without what only a training needs.

    Raises:
        ModelError: there is no agent, or it is damaged.
        InputError: it is larger than what the package may ship.
        OutputError: the folder cannot be written.
    """
    checkpoint = find_checkpoint(run)
    load_agent(checkpoint)
    size = sum((checkpoint / name).stat().st_size for name in (MODEL, FACTS))
    if size > LARGEST:
        raise InputError(f"the agent of {checkpoint} has {size:,} bytes; at most {LARGEST:,} are shipped")
    make_folder(folder)
    for name in (MODEL, FACTS):
        with written_whole(folder / name) as temporary:
            copyfile(checkpoint / name, temporary)


def main(arguments: list[str]) -> int:
    """Ship the agent of the run that the only argument names. Returns the exit code."""
    try:
        if len(arguments) != 1:
            raise InputError(
                f"expected the folder of one run, as runs/AD-darkroom-seed0, got {len(arguments)} arguments"
            )
        export(arguments[0], Path(__file__).parents[1] / "embedded" / "agent")
    except KeepmapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
