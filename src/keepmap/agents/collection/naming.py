"""How files and folders are called after a room and a split: what is usual goes without saying."""

from keepmap.agents.environments.goals import GUIDE, Split
from keepmap.agents.environments.world import World

__all__ = ["default_histories", "split_suffix"]

USUAL_SHARE = 0.9


def default_histories(room: World, source: str, seed: int, split: Split, train_share: float = USUAL_SHARE) -> str:
    """The name of a file of histories; where an argument differs, so does the name."""
    parts = [f"history_{room.name}{room.suffix()}", source, f"alg-seed{seed}"]
    if split_suffix(split.name):
        parts.append(split_suffix(split.name))
    if split.seed:
        parts.append(f"split-seed{split.seed}")
    if train_share != USUAL_SHARE:
        parts.append(f"train{train_share:g}")
    if (tasks := len(split.train) + len(split.held_out)) != room.usual_tasks:
        parts.append(f"tasks{tasks}")
    return "_".join(parts) + ".hdf5"


def split_suffix(split: str) -> str:
    """`0of9` for fold 0 of 9, nothing for the usual split."""
    return "" if split == GUIDE else split.replace("/", "of")
