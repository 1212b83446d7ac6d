"""What `tiny` is and how it is trained: plain data, read by every other file of this recipe."""

import json
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Recipe", "Shares", "Stage", "miniature", "tiny"]


@dataclass(frozen=True)
class Shares:
    """How a batch's rows are made up; the shares add up to 1."""

    copies: float = 0.0  # random tokens, repeated: the copying circuit
    lists: float = 0.0  # dense lists of facts, asked again
    prose: float = 0.0  # prose with facts and questions in it


@dataclass(frozen=True)
class Stage:
    """One step of the curriculum: `steps` batches of [batch, length] tokens."""

    name: str
    steps: int
    batch: int
    length: int
    shares: Shares
    rate: tuple[float, float]  # learning rate at its start and end, linear between
    facts: int = 0  # at most so many facts in a row
    prose_weight: float = 0.0  # weight of the mean prose loss beside the mean recall loss, which weighs 1
    stretch: int = 0  # positions are stretched by random jumps, in total up to this many


@dataclass(frozen=True)
class Recipe:
    """The model's sizes, the curriculum, the seed."""

    seed: int = 0
    vocabulary: int = 512
    hidden: int = 256
    intermediate: int = 768
    layers: int = 2
    heads: int = 4
    key_value_heads: int = 4
    rope_theta: float = 1e6
    positions: int = 131072
    warm_up: int = 100
    weight_decay: float = 0.1
    stages: tuple[Stage, ...] = ()

    def describe(self) -> dict[str, Any]:
        """As JSON values: a checkpoint goes on only under the recipe that it was made by."""
        return json.loads(json.dumps(asdict(self)))


_COPIES = Shares(copies=1.0)
_LISTS = Shares(copies=0.25, lists=0.75)


def tiny(seed: int = 0) -> Recipe:
    """The recipe of the model in the package: copying, dense facts, then prose and length."""
    full = (1.5e-3, 1.5e-3)
    short, long = Shares(copies=0.1, lists=0.3, prose=0.6), Shares(lists=0.1, prose=0.9)
    return Recipe(
        seed=seed,
        stages=(
            Stage("copy", 400, 64, 64, _COPIES, full),
            Stage("lists", 150, 48, 96, _LISTS, full, 5, prose_weight=0.1),
            Stage("short prose", 600, 16, 256, short, full, 12, prose_weight=0.3, stretch=1024),
            Stage("prose", 300, 8, 512, long, (1.5e-3, 1.2e-3), 24, prose_weight=0.5, stretch=4096),
            Stage("long prose", 600, 8, 1024, long, (1.2e-3, 2.0e-4), 24, prose_weight=1.0, stretch=8192),
            Stage("longest prose", 100, 4, 2048, long, (2.0e-4, 2.0e-5), 48, prose_weight=1.0, stretch=16384),
        ),
    )


def miniature(seed: int = 0) -> Recipe:
    """A run of seconds through the same code; what it makes has learnt nothing."""
    return Recipe(
        seed=seed,
        hidden=64,
        intermediate=64,
        stages=(
            Stage("copy", 8, 8, 32, _COPIES, (1.5e-3, 1.5e-3)),
            Stage("prose", 8, 4, 128, Shares(0.25, 0.25, 0.5), (1.5e-3, 1e-4), facts=4, prose_weight=0.5, stretch=64),
        ),
    )
