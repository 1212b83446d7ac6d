"""Which goals an agent is trained on, and which are held out: decided once, from an explicit seed."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from keepmap.core.arguments import as_integer, as_string
from keepmap.errors import InputError

__all__ = ["GUIDE", "OLD_NAMES", "Goal", "Split", "all_goals", "fold_split", "guide_split", "parse_cell", "split_named"]

GUIDE = "guide"
"""The name of the guide's split."""
OLD_NAMES = {"seed": GUIDE}
"""What older files and configurations call it, which is read too."""


Goal = tuple[int, ...]
"""What is hidden from the agent: a cell (x, y), two of them, or a permutation of the actions."""


@dataclass(frozen=True)
class Split:
    """Goals for training and goals held out, in the order in which they were drawn; no goal is in both.

    Attributes:
        name: how it was made: `GUIDE`, "all", or "k/n" for fold k of n.
        seed: what decided the order.

    Raises:
        InputError: a goal is there twice.
    """

    name: str
    seed: int
    train: tuple[Goal, ...]
    held_out: tuple[Goal, ...]

    def __post_init__(self) -> None:
        goals = [*self.train, *self.held_out]
        if len(set(goals)) != len(goals):
            twice = next(goal for goal in goals if goals.count(goal) > 1)
            raise InputError(f"the goal {twice} stands twice in a split; each goal belongs to one side, once")


def guide_split(goals: Sequence[Goal], seed: int = 0, train_share: float = 0.9) -> Split:
    """The guide's split: the goals in a shuffled order, the first `train_share` of them for training.

    The order is that of Python's `random.Random(seed).shuffle`.
    Seed 0 holds out, of Dark Room's 81 goals: (4, 2) (5, 6) (6, 8) (7, 2) (3, 6) (0, 5) (5, 8) (5, 4).

    Raises:
        InputError: the share is not in [0, 1].
    """
    if not 0 <= train_share <= 1:
        raise InputError(f"expected `train_share` to be a share of the goals in [0, 1], got {train_share:g}")
    order = _shuffled(goals, seed)
    n_train = round(len(order) * train_share)
    return Split(GUIDE, seed, tuple(order[:n_train]), tuple(order[n_train:]))


def fold_split(goals: Sequence[Goal], fold: int, n_folds: int, seed: int = 0) -> Split:
    """Holds out fold `fold` (from 0) of `n_folds`; each goal is in one fold, and their sizes differ by one at most.

    Raises:
        InputError: fewer than 2 folds, more folds than goals, or no such fold; says which `split` there could be.
    """
    if not 2 <= n_folds <= len(goals):
        raise InputError(
            f"expected `split` to be of 2 to {len(goals)} folds, the number of goals, got {fold}/{n_folds}"
        )
    if not 0 <= fold < n_folds:
        raise InputError(
            f"expected `split` to be 0/{n_folds} to {n_folds - 1}/{n_folds}, counted from 0, got {fold}/{n_folds}"
        )
    order = _shuffled(goals, seed)
    held_out = tuple(order[fold::n_folds])
    left = set(held_out)
    return Split(f"{fold}/{n_folds}", seed, tuple(goal for goal in order if goal not in left), held_out)


def all_goals(goals: Sequence[Goal]) -> Split:
    """Every goal for training, none held out."""
    return Split("all", 0, tuple(goals), ())


def split_named(name: str, goals: Sequence[Goal], seed: int = 0) -> Split:
    """The split that an option asks for: "guide" (in older files: "seed"), "all", or "k/n" for fold k (from 0) of n.

    Raises:
        InputError: it is none of these, or the folds cannot be made.
    """
    name, seed = as_string("split", name), as_integer("split_seed", seed, None)
    if OLD_NAMES.get(name, name) == GUIDE:
        return guide_split(goals, seed)
    if name == "all":
        return all_goals(goals)
    fold = re.fullmatch(r"(\d+)/(\d+)", name)
    if not fold:
        raise InputError(f'expected `split` to be guide, all, or 0/9 for the first of nine folds, got "{name}"')
    return fold_split(goals, int(fold[1]), int(fold[2]), seed)


def parse_cell(text: str) -> Goal:
    """A goal as people write it: whole numbers with commas, in brackets or not.

    >>> parse_cell("7,2"), parse_cell(" (7, 2) ")
    ((7, 2), (7, 2))

    Raises:
        InputError: it is something else.
    """
    numbers = re.fullmatch(r"\s*(\(?)\s*(\d+\s*(?:,\s*\d+\s*)*)(\)?)\s*", text)
    if not numbers or bool(numbers[1]) != bool(numbers[3]):
        raise InputError(f'expected `goal` to be a cell as x,y, for example 7,2, got "{text}"')
    return tuple(int(part) for part in numbers[2].split(","))


def _shuffled(goals: Sequence[Goal], seed: int) -> list[Goal]:
    order = list(goals)
    random.Random(seed).shuffle(order)
    return order
