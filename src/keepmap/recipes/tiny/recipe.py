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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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
            Stage(
                name="copy",
                steps=400,
                batch=64,
                length=64,
                shares=_COPIES,
                rate=full,
            ),
            Stage(
                name="lists",
                steps=150,
                batch=48,
                length=96,
                shares=_LISTS,
                rate=full,
                facts=5,
                prose_weight=0.1,
            ),
            Stage(
                name="short prose",
                steps=600,
                batch=16,
                length=256,
                shares=short,
                rate=full,
                facts=12,
                prose_weight=0.3,
                stretch=1024,
            ),
            Stage(
                name="prose",
                steps=300,
                batch=8,
                length=512,
                shares=long,
                rate=(0.0015, 0.0012),
                facts=24,
                prose_weight=0.5,
                stretch=4096,
            ),
            Stage(
                name="long prose",
                steps=600,
                batch=8,
                length=1024,
                shares=long,
                rate=(0.0012, 0.0002),
                facts=24,
                prose_weight=1.0,
                stretch=8192,
            ),
            Stage(
                name="longest prose",
                steps=100,
                batch=4,
                length=2048,
                shares=long,
                rate=(0.0002, 2e-05),
                facts=48,
                prose_weight=1.0,
                stretch=16384,
            ),
        ),
    )


def miniature(seed: int = 0) -> Recipe:
    """A run of seconds through the same code; what it makes has learnt nothing."""
    return Recipe(
        seed=seed,
        hidden=64,
        intermediate=64,
        stages=(
            Stage(
                name="copy",
                steps=8,
                batch=8,
                length=32,
                shares=_COPIES,
                rate=(0.0015, 0.0015),
            ),
            Stage(
                name="prose",
                steps=8,
                batch=4,
                length=128,
                shares=Shares(0.25, 0.25, 0.5),
                rate=(0.0015, 0.0001),
                facts=4,
                prose_weight=0.5,
                stretch=64,
            ),
        ),
    )
