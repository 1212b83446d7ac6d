"""What a study of compressors gives: runs, a row for each compressor and budget, what was promised, and their file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.agents.evaluation.returns import EARLY, SOLVED, Estimate
from keepmap.core.files import plain, written_whole
from keepmap.core.intervals import bootstrap_means, bootstrap_ratio
from keepmap.errors import InputError

__all__ = ["BASELINE", "Study", "StudyRow", "StudyRun", "read_study", "rows_of", "write_study"]

FORMAT = "keepmap-study/1"
BASELINE = "baseline"
"""What rows and runs of the whole window are called."""


@dataclass(frozen=True, eq=False)
class StudyRun:
    """What one agent did under one compressor, as it is written when the run is done.

    Attributes:
        compressor, percent, length: how much shorter, and how many are kept at most; 0 and the window for the baseline.
        seed: of the training.
        trained: whether the agent was trained under the compressor, or has its baseline's weights.
        optimum: of each goal.
        returns: [G, C, E], of each copy and episode.
        kept, most_kept, length_mean: how many transitions were kept per action and at most, of how many.
        flops, bytes: of an action (see `keepmap.agents.study.cost`).
        again_flops: of the baseline, where the whole window is computed again for each action; else None.
        distance, entropy, baseline_entropy: of each goal (see `keepmap.agents.study.attention_change`).
        nats, recent_distant: of the baseline's attention over whole histories, of each goal.
    """

    compressor: str
    percent: float
    length: int
    seed: int
    trained: bool
    optimum: tuple[float, ...]
    returns: Float[np.ndarray, "G C E"]
    kept: float
    most_kept: int
    length_mean: float
    flops: float
    bytes: int
    again_flops: float | None
    distance: tuple[float, ...]
    entropy: tuple[float, ...]
    baseline_entropy: tuple[float, ...]
    nats: tuple[float, ...]
    recent_distant: tuple[float, ...]

    def document(self) -> dict[str, Any]:
        """All of it as JSON values; what is no number is None."""
        return {name: plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_document(cls, said: Mapping[str, Any]) -> "StudyRun":
        """The way back from `document`.

        Raises:
            ValueError: values that do not fit each other; KeyError and TypeError where some are no such values.
        """
        values = {one.name: said[one.name] for one in fields(cls)}
        for name, value in values.items():
            if isinstance(value, list):
                numbers = np.array([math.nan if one is None else one for one in value], dtype=np.float64)
                values[name] = numbers if name == "returns" else tuple(numbers.tolist())
        _check(values)
        return cls(**values)

    @property
    def early(self) -> Float[np.ndarray, " G"]:
        """Of each goal, the mean return of episodes 21 to 40."""
        return self.returns[:, :, EARLY[0] - 1 : EARLY[1]].mean((1, 2))


@dataclass(frozen=True)
class StudyRow:
    """A compressor at one budget, over its training seeds; intervals are of 95 %, over goals and seeds.

    Attributes:
        early, whole: the return, of episodes 21 to 40 and of all.
        share: of the baseline's return in episodes 21 to 40, of the same seeds and goals; None where that is 0.
        solved: the share of goals with 90 % of their optimum in episodes 21 to 40.
        ratio: how many transitions were kept, of how many there were: means over the actions.
        again_flops: of an action where nothing is cached: what is kept, after a look at the whole window computed again
            where attention decides; of the baseline, that window alone.
        saved_bytes: less than the baseline's, as a share of them; negative is more.
        saved_flops: of `again_flops`, less than the baseline's: neither has a cache.
        saved_cached_flops: of `flops`, less than the baseline's: both look at the window through a key/value cache.
        distance: see `StudyRun`, as are the entropies, which are None where one transition is kept.
    """

    compressor: str
    percent: float
    length: int
    trained: bool
    n_seeds: int
    early: Estimate
    whole: Estimate
    share: Estimate | None
    solved: float
    kept: float
    most_kept: int
    ratio: float
    flops: float
    again_flops: float
    bytes: int
    saved_bytes: float
    saved_flops: float
    saved_cached_flops: float
    distance: Estimate
    entropy: float | None
    baseline_entropy: float | None

    @property
    def label(self) -> str:
        """`recency 80%`, or `baseline`."""
        return BASELINE if self.compressor == BASELINE else f"{self.compressor} {self.percent:g}%"

    @property
    def loss(self) -> float | None:
        """Of the baseline's return, as a share of it."""
        return None if self.share is None else 1 - self.share.mean


@dataclass(frozen=True, eq=False)
class Study:
    """Rows, and what was promised of them against what was measured.

    Attributes:
        promises: as JSON values: `promised`, `of`, `measured`, `holds`, which is None where it was
            not shown (see `keepmap.agents.study.promises`).
        pattern: the baseline's attention: `nats`, `recent_distant`, and the compressor that the document matches to it.
        options, versions: what decided the numbers, as JSON values.
    """

    rows: tuple[StudyRow, ...]
    promises: tuple[Mapping[str, Any], ...]
    pattern: Mapping[str, Any]
    options: Mapping[str, Any]
    versions: Mapping[str, str]

    def row(self, compressor: str, percent: float, trained: bool) -> StudyRow | None:
        """One of the rows; None where it was not run."""
        key = (compressor, percent, trained)
        return next((row for row in self.rows if (row.compressor, row.percent, row.trained) == key), None)

    def document(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "format": FORMAT,
            "rows": [{**asdict(row), "loss": row.loss} for row in self.rows],
            "promises": [dict(one) for one in self.promises],
            "pattern": dict(self.pattern),
            "options": dict(self.options),
            "versions": dict(self.versions),
        }


def _check(values: Mapping[str, Any]) -> None:
    names = ("percent", "length", "seed", "kept", "most_kept", "length_mean", "flops", "bytes")
    numbers = [values[name] for name in names]
    numbers += [] if values["again_flops"] is None else [values["again_flops"]]
    if not all(isinstance(one, int | float) and one >= 0 for one in numbers):
        raise ValueError("a number of it is none, or below 0")
    if (values["compressor"] == BASELINE) != (values["again_flops"] is not None):
        raise ValueError("again_flops belong to the baseline")
    goals, shape = len(values["optimum"]), np.shape(values["returns"])
    if len(shape) != 3 or shape[0] != goals or not shape[1] or shape[2] != EARLY[1]:
        raise ValueError(f"its returns have the shape {shape}; {goals} goals, copies, {EARLY[1]} episodes belong there")
    if not np.isfinite(values["returns"]).all():
        raise ValueError("a return is no number")
    for name in ("distance", "entropy", "baseline_entropy", "nats", "recent_distant"):
        if np.shape(values[name]) != (goals,):
            raise ValueError(f"{name} has the shape {np.shape(values[name])}; it belongs to {goals} goals")


def rows_of(runs: Sequence[StudyRun], looking: Sequence[str], seed: int = 0) -> tuple[StudyRow, ...]:
    """A row for each compressor, budget, and way of training, the baselines first.

    Runs are compared with the baseline that was trained as they were, from the same seed. Rows that were not trained
    have the seeds of the agents that there are.

    Args:
        looking: compressors that need attention.
    """
    keys = dict.fromkeys((run.compressor, run.percent, run.trained) for run in runs)
    grouped = {key: [run for run in runs if (run.compressor, run.percent, run.trained) == key] for key in keys}
    baselines = {(run.trained, run.seed): run for run in runs if run.compressor == BASELINE}
    order = sorted(grouped, key=lambda key: (not key[2], key[0] != BASELINE, key[0], key[1]))
    return tuple(_row(grouped[key], baselines, looking, seed) for key in order)


def _row(
    runs: Sequence[StudyRun], baselines: Mapping[tuple[bool, int], StudyRun], looking: Sequence[str], seed: int
) -> StudyRow:
    first = runs[0]
    theirs = [baselines[run.trained, run.seed] for run in runs]
    early, before = np.stack([run.early for run in runs]), np.stack([run.early for run in theirs])
    optimum = np.array(first.optimum)
    base = theirs[0]
    assert base.again_flops is not None
    flops = _mean(run.flops for run in runs)
    looks = first.compressor in (BASELINE, *looking)
    # A look at the window is a part of `flops`, at the price that it has with a cache: the baseline's.
    again = flops + base.again_flops - base.flops if looks else flops
    return StudyRow(
        compressor=first.compressor,
        percent=first.percent,
        length=first.length,
        trained=first.trained,
        n_seeds=len(runs),
        early=_estimate(early, seed),
        whole=_estimate(np.stack([run.returns.mean((1, 2)) for run in runs]), seed),
        share=_share(early, before, seed),
        solved=float((early >= SOLVED * optimum).mean()),
        kept=_mean(run.kept for run in runs),
        most_kept=max(run.most_kept for run in runs),
        ratio=_mean(run.kept for run in runs) / max(_mean(run.length_mean for run in runs), 1e-9),
        flops=flops,
        again_flops=again,
        bytes=max(run.bytes for run in runs),
        saved_bytes=1 - max(run.bytes for run in runs) / base.bytes,
        saved_flops=1 - again / base.again_flops,
        saved_cached_flops=1 - flops / base.flops,
        distance=_estimate(np.array([run.distance for run in runs]), seed),
        entropy=_number(np.array([run.entropy for run in runs])),
        baseline_entropy=_number(np.array([run.baseline_entropy for run in runs])),
    )


def write_study(path: Path, study: Study) -> None:
    """Write `study.json` whole or not at all, the same bytes for the same values.

    Raises:
        OutputError: the path cannot be written.
    """
    text = json.dumps(study.document(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_study(path: str | Path) -> Study:
    """Read what `write_study` wrote.

    Raises:
        InputError: no such file, or not a study.
    """
    path = Path(path)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        rows = []
        for row in said["rows"]:
            values = {one.name: row[one.name] for one in fields(StudyRow)}
            for name, value in values.items():
                if isinstance(value, dict):
                    values[name] = Estimate(**value)
            rows.append(StudyRow(**values))
        return Study(tuple(rows), tuple(said["promises"]), said["pattern"], said["options"], said["versions"])
    except FileNotFoundError:
        raise InputError(f"no study at {path}: no such file; keepmap study writes one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no study: {' '.join(str(error).split())}") from None


def _estimate(values: Float[np.ndarray, "S G"], seed: int) -> Estimate:
    low, high = bootstrap_means(values[:, :, None], seed)
    if low is None or high is None:
        return Estimate(float(values.mean()), None, None, values.shape[1])
    return Estimate(float(values.mean()), float(low[0]), float(high[0]), values.shape[1])


def _share(values: Float[np.ndarray, "S G"], before: Float[np.ndarray, "S G"], seed: int) -> Estimate | None:
    if before.sum() <= 0:
        return None
    low, high = bootstrap_ratio(values, before, seed)
    return Estimate(float(values.sum() / before.sum()), low, high, values.shape[1])


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def _number(values: Float[np.ndarray, "S G"]) -> float | None:
    mean = float(values.mean())
    return mean if math.isfinite(mean) else None
