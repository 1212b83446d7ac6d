"""What an evaluation of an agent gives: the return of each episode on each goal, what they come to, and their file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from keepmap.agents.evaluation.normalised import Normalised, normalised_returns
from keepmap.core.arguments import as_integer, as_path
from keepmap.core.files import write_text
from keepmap.core.intervals import RULE, mean_interval, mean_intervals
from keepmap.core.outside.reporting import ReportedTable
from keepmap.core.storage.documents import read_document, with_checksum
from keepmap.errors import ImpossibleResultError, InputError

__all__ = ["EARLY", "FILE", "LAST", "SOLVED", "Estimate", "Evaluation", "curve", "read_evaluation", "write_evaluation"]

FORMAT = "keepmap-evaluation/1"
RULED = ("interval_rule", "interval", "mean_of_episodes_21_to_40")
FILE = "evaluation.json"
"""What it is called in the folder of an evaluation."""
LAST = 20
"""Success is judged by so many episodes at the end."""
SOLVED = 0.9
"""A goal is solved by this share of its optimum."""
EARLY = (21, 40)
"""The first and the last episode, counted from 1, of the mean that the k-fold protocol reports: indices 20 to 39."""


@dataclass(frozen=True)
class Estimate:
    """A mean over n goals, and its 95 % interval (None of fewer than three), as `keepmap.core.intervals` gives it."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        between = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.mean:.2f}{between}"


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(ReportedTable):
    """The returns of an agent that learns in its context: G goals, C copies of each, E episodes from an empty history.

    As a table it has a row for each goal.

    Attributes:
        goals: as tuples.
        optimum: of each goal, the return of an agent that knows it.
        all_returns: [G, C, E].
        options, versions: what decided them, as JSON values.
        best, random: of each goal and episode, what the best and a random agent earn (L is 1 where all episodes are
            alike); None in files of earlier versions.

    Raises:
        ImpossibleResultError: a return that is negative or not finite.

    >>> import keepmap
    >>> evaluation = keepmap.evaluate("tiny", [(7, 2)], episodes=3)
    >>> evaluation.goals, evaluation.all_returns.shape
    (((7, 2),), (1, 1, 3))
    """

    goals: tuple[tuple[int, ...], ...]
    optimum: tuple[float, ...]
    all_returns: Float[np.ndarray, "G C E"]
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    _: KW_ONLY
    best: Float[np.ndarray, "G L"] | None = None
    random: Float[np.ndarray, "G L"] | None = None

    def __post_init__(self) -> None:
        assert len(self.goals) == len(self.optimum) == len(self.all_returns) and self.all_returns.size
        # NaN fails the comparison too.
        for goal, returns in zip(self.goals, self.all_returns, strict=True):
            if not ((returns >= 0) & (returns < math.inf)).all():
                raise ImpossibleResultError(
                    f"the returns on the goal {goal} go from {returns.min()} to {returns.max()}"
                )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return (
            (self.goals, self.optimum, self.options, self.versions)
            == (other.goals, other.optimum, other.options, other.versions)
        ) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("all_returns", "best", "random")
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        best = sum(self.optimum) / len(self.optimum)
        lines = [f"Evaluation: mean return {self.estimate()} of {best:.2f} at best, {self._counts()}"]
        if self.early is not None:
            lines.append(f"  episodes {EARLY[0]} to {EARLY[1]}: {self.early}; solved at the end: {sum(self.success)}")
        return "\n".join(lines)

    def _counts(self) -> str:
        goals, copies = len(self.goals), f" x {self.copies} copies" if self.copies > 1 else ""
        return f"{goals} goal{'s' * (goals > 1)}{copies}, {self.episodes} episode{'s' * (self.episodes > 1)}"

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per goal; `goal` is text that `evaluate` takes, `last_20` the mean of the last 20 episodes."""
        columns = zip(self.goals, self.returns.mean(1).tolist(), self.optimum, self.last, self.success, strict=True)
        return [
            {
                "goal": ",".join(map(str, goal)),
                "mean_return": mean,
                "optimum": best,
                "share": mean / best if best else None,
                "last_20": last,
                "solved": solved,
            }
            for goal, mean, best, last, solved in columns
        ]

    @property
    def caption(self) -> str:
        """The mean return and what it is over."""
        return f"Mean return {self.estimate()}, {self._counts()}"

    @property
    def copies(self) -> int:
        """C: how many agents learned each goal."""
        return self.all_returns.shape[1]

    @property
    def episodes(self) -> int:
        """E: how many episodes each of them had."""
        return self.all_returns.shape[2]

    @cached_property
    def returns(self) -> Float[np.ndarray, "G E"]:
        """The return of each goal and episode, a mean over copies."""
        return self.all_returns.mean(axis=1)

    @cached_property
    def normalised(self) -> Normalised | None:
        """Between a random and the best agent; None in files of earlier versions, and where nothing can be earned."""
        if self.best is None or self.random is None:
            return None
        return normalised_returns(self.all_returns, self.best, self.random)

    @property
    def mean(self) -> float:
        """The mean return over goals and episodes."""
        return float(self.returns.mean())

    @property
    def standard_deviation(self) -> float:
        """Over goals, copies and episodes: how far one episode's return is from the mean, not how sure the mean is."""
        return float(self.all_returns.std())

    @property
    def last(self) -> tuple[float, ...]:
        """Of each goal, the mean of the last 20 episodes (of all, where there are fewer)."""
        return tuple(self.returns[:, -LAST:].mean(axis=1).tolist())

    @property
    def success(self) -> tuple[bool, ...]:
        """Of each goal, whether the last 20 episodes have 90 % of its optimum."""
        return tuple(last >= SOLVED * best for last, best in zip(self.last, self.optimum, strict=True))

    @property
    def success_rate(self) -> float:
        """The share of goals that are solved."""
        return sum(self.success) / len(self.goals)

    def estimate(self, first: int = 1, last: int | None = None) -> Estimate:
        """The mean over goals of episodes `first` to `last`, counted from 1, both included; by default of all.

        Raises:
            InputError: there are no such episodes.
        """
        first, last = (
            as_integer("first", first, None),
            as_integer("last", self.episodes if last is None else last, None),
        )
        if not 1 <= first <= last <= self.episodes:
            raise InputError(f"expected `first` and `last` to be in 1..{self.episodes}, got {first} to {last}")
        means = self.returns[:, first - 1 : last].mean(axis=1)
        low, high = mean_interval(means, (0.0, float(np.nanmax([*self.optimum, means.max()]))))
        return Estimate(float(means.mean()), low, high, len(means))

    @property
    def early(self) -> Estimate | None:
        """The mean of episodes 21 to 40; None where there are fewer."""
        return self.estimate(*EARLY) if self.episodes >= EARLY[1] else None

    def document(self) -> dict[str, Any]:
        """All of it as JSON values; `all_returns` is None where each goal has one copy."""
        whole, early = self.estimate(), self.early
        expected: dict[str, Any] = {}
        if self.best is not None and self.random is not None:
            expected = {"best_returns": self.best.tolist(), "random_returns": self.random.tolist()}
        return {
            "format": FORMAT,
            "goals": [list(goal) for goal in self.goals],
            "optimum": list(self.optimum),
            "returns": self.returns.tolist(),
            "copies": self.copies,
            "all_returns": self.all_returns.tolist() if self.copies > 1 else None,
            "mean": self.mean,
            "interval_rule": RULE,
            "interval": _interval(whole),
            "standard_deviation": self.standard_deviation,
            "mean_of_episodes_21_to_40": None if early is None else {"mean": early.mean, "interval": _interval(early)},
            "last_20_episodes": list(self.last),
            "success": list(self.success),
            "success_rate": self.success_rate,
            **expected,
            "options": dict(self.options),
            "versions": dict(self.versions),
        }


def curve(
    evaluations: Sequence[Evaluation], edges: Integer[np.ndarray, " edges"]
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"] | None, Float[np.ndarray, " bins"] | None]:
    """The mean return over bins of episodes, goals and evaluations (of several training seeds), and its 95 % interval.

    Args:
        edges: the first episode of each bin, counted from 0, and the end of the last one.

    Raises:
        InputError: other goals or numbers of episodes.
    """
    first = evaluations[0]
    for other in evaluations:
        if (other.goals, other.episodes) != (first.goals, first.episodes):
            raise InputError(
                f"expected `evaluations` to be on the same goals and episodes, got {len(first.goals)} goals of "
                f"{first.episodes} episodes and {len(other.goals)} goals of {other.episodes}"
            )
    values = np.stack([evaluation.returns for evaluation in evaluations])
    values = np.add.reduceat(values, edges[:-1], axis=2) / np.diff(edges)
    return values.mean((0, 1)), *mean_intervals(values, (0.0, float(np.nanmax([*first.optimum, values.max()]))))


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write `evaluation.json` whole or not at all: a goal's returns on a line, the same bytes for the same values.

    Raises:
        OutputError: the path cannot be written.
    """
    lines = [f"{json.dumps(key)}: {_text(value)}" for key, value in with_checksum(evaluation.document()).items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_evaluation(path: str | Path) -> Evaluation:
    """Read what `write_evaluation` or `keepmap evaluate` wrote, to an equal evaluation.

    >>> import tempfile
    >>> import keepmap
    >>> evaluation = keepmap.evaluate("tiny", [(7, 2)], episodes=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_evaluation(Path(folder) / "evaluation.json", evaluation)
    ...     read_evaluation(folder) == evaluation
    True

    Args:
        path: of the file, or of the folder that it is in.

    Raises:
        InputError: no such file, not an evaluation, or one whose numbers do not agree.
    """
    path = as_path("path", path)
    path = path / FILE if path.is_dir() else path
    try:
        document = read_document(path)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return _checked(document)
    except FileNotFoundError:
        raise InputError(f"no evaluation at {path}: no such file; keepmap evaluate writes one") from None
    except KeyError as error:
        raise InputError(f"{path} is not an evaluation, or is damaged: it has no {error}") from None
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        ArithmeticError,
        RecursionError,
        ImpossibleResultError,
    ) as error:
        raise InputError(f"{path} is not an evaluation, or is damaged: {' '.join(str(error).split())}") from None


def _checked(document: Mapping[str, Any]) -> Evaluation:
    """The evaluation of a document; errors of many kinds where it is not."""
    alone = document["all_returns"] is None
    values = np.array(document["returns"] if alone else document["all_returns"], dtype=np.float64)
    values = values[:, None] if alone else values
    goals = tuple(tuple(int(part) for part in goal) for goal in document["goals"])
    optimum = tuple(float(best) for best in document["optimum"])
    if values.ndim != 3 or not values.size or not len(goals) == len(optimum) == len(values):
        raise ValueError(f"{len(goals)} goals, {len(optimum)} optima and returns of the shape {values.shape}")
    for name in ("options", "versions"):
        if not isinstance(document[name], dict):
            raise ValueError(f"its {name} are not a mapping")
    both = [document.get(name) for name in ("best_returns", "random_returns")]
    best, random = (None if each is None else np.array(each, dtype=np.float64) for each in both)
    for each in (best, random):
        if (best is None) != (random is None) or (each is not None and not _fits(each, values.shape)):
            raise ValueError("what the best and a random agent earn does not fit its returns")
    evaluation = Evaluation(goals, optimum, values, document["options"], document["versions"], best=best, random=random)
    expected = evaluation.document()
    # Intervals of an earlier rule are not ours to check; they are made anew.
    earlier = {*RULED} if document.get("interval_rule") != RULE else set()
    keys = (expected.keys() | document.keys()) - earlier
    for key in filter(keys.__contains__, [*document, *expected]):
        if not _agree(expected.get(key), document.get(key)):
            raise ValueError(f"its {key} does not agree with its returns")
    return evaluation


def _fits(expected: Float[np.ndarray, "..."], shape: tuple[int, ...]) -> bool:
    wide = expected.ndim == 2 and len(expected) == shape[0] and expected.shape[1] in (1, shape[2])
    return wide and bool(np.isfinite(expected).all())


def _interval(estimate: Estimate) -> list[float] | None:
    return None if estimate.low is None or estimate.high is None else [estimate.low, estimate.high]


def _text(value: object) -> str:
    """JSON on one line; of lists of lists, an inner list on a line."""
    if isinstance(value, list) and value and isinstance(value[0], list) and len(value[0]) > 5:
        return "[\n" + ",\n".join(f"  {_text(row)}" for row in value) + "\n]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _agree(computed: object, stored: object) -> bool:
    """Equal but for the last digits of numbers, which another processor may add up in another order."""
    if isinstance(computed, float) and isinstance(stored, float):
        return math.isclose(computed, stored, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(computed, list) and isinstance(stored, list):
        return len(computed) == len(stored) and all(map(_agree, computed, stored))
    if isinstance(computed, dict) and isinstance(stored, dict):
        return computed.keys() == stored.keys() and all(_agree(computed[key], stored[key]) for key in computed)
    return type(computed) is type(stored) and computed == stored
