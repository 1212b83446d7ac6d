"""How files and folders are called after a room and a split: what is usual goes without saying."""

from keepmap.agents.environments import room_named
from keepmap.agents.environments.goals import GUIDE, Split
from keepmap.agents.environments.room import Room

__all__ = ["default_histories", "size_suffix", "split_suffix"]

USUAL_SHARE = 0.9


def default_histories(room: Room, source: str, seed: int, split: Split, train_share: float = USUAL_SHARE) -> str:
    """The name of a file of histories; where an argument differs, so does the name."""
    parts = [f"history_{room.name}{size_suffix(room)}", source, f"alg-seed{seed}"]
    if split_suffix(split.name):
        parts.append(split_suffix(split.name))
    if split.seed:
        parts.append(f"split-seed{split.seed}")
    if train_share != USUAL_SHARE:
        parts.append(f"train{train_share:g}")
    return "_".join(parts) + ".hdf5"


def split_suffix(split: str) -> str:
    """`0of9` for fold 0 of 9, nothing for the usual split."""
    return "" if split == GUIDE else split.replace("/", "of")


def size_suffix(room: Room) -> str:
    """`-5x5` or `-5x5x30`, where 30 is the horizon, for a room that is not as usual."""
    usual = room_named(room.name)
    if room.horizon != usual.horizon:
        return f"-{room.size}x{room.size}x{room.horizon}"
    return "" if room.size == usual.size else f"-{room.size}x{room.size}"
