"""What a study of compressors gives: runs, a row for each compressor and budget, what was promised, and the file."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from keepmap.agents.evaluation.returns import EARLY, Estimate
from keepmap.core.arguments import as_path
from keepmap.core.files import plain
from keepmap.core.outside.reporting import ReportedTable
from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError

__all__ = ["BASELINE", "FILE", "Study", "StudyRow", "StudyRun", "label_of", "read_study", "write_study"]

FORMAT = "keepmap-study/1"
FILE = "study.json"
"""What it is called in the folder of a study."""
NEARLY_ALL = 0.98
"""The share of the baseline's return from which on `repr` says that a compressor keeps it."""
BASELINE = "baseline"
"""What rows and runs of the whole window are called."""


def label_of(compressor: str, percent: float) -> str:
    """What tables and figures call a compressor at a budget.

    >>> label_of("recency", 80.0), label_of("baseline", 0.0)
    ('recency 80%', 'baseline')
    """
    return BASELINE if compressor == BASELINE else f"{compressor} {percent:g}%"


@dataclass(frozen=True, eq=False, kw_only=True)
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
        """The whole run as JSON values; what is not finite is None."""
        return {name: plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "StudyRun":
        """The run whose `document` this is.

        Raises:
            ValueError: values that do not fit each other; KeyError and TypeError where some are no such values.
        """
        values = {field.name: document[field.name] for field in fields(cls)}
        for name, value in values.items():
            if isinstance(value, list):
                numbers = np.array([math.nan if number is None else number for number in value], dtype=np.float64)
                values[name] = numbers if name == "returns" else tuple(numbers.tolist())
        _check(values)
        return cls(**values)

    @property
    def early(self) -> Float[np.ndarray, " G"]:
        """Of each goal, the mean return of episodes 21 to 40."""
        return self.returns[:, :, EARLY[0] - 1 : EARLY[1]].mean((1, 2))


@dataclass(frozen=True, kw_only=True)
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
        """What tables and figures call the row: `recency 80%`, or `baseline`."""
        return label_of(self.compressor, self.percent)

    @property
    def loss(self) -> float | None:
        """How much of the baseline's return is lost, as a share of it."""
        return None if self.share is None else 1 - self.share.mean


@dataclass(frozen=True, repr=False)
class Study(ReportedTable):
    """What compressors cost, and what was promised of them against what was measured.

    Attributes:
        results: of each compressor, budget and way of training, the baselines first.
        promises: as JSON values: `promised`, `of`, `measured`, `holds`, which is None where it was not shown (see
            `keepmap.agents.study.promises`).
        pattern: the baseline's attention: `nats`, `recent_distant`, and `matched`, the guide's compressor for it.
        options, versions: what decided the numbers, as JSON values.

    >>> study = Study(results=(), promises=(), pattern={}, options={}, versions={})
    >>> study.rows, study.to_csv().split(",")[:3]
    ([], ['compressor', 'percent', 'length'])
    """

    results: tuple[StudyRow, ...]
    promises: tuple[Mapping[str, Any], ...]
    pattern: Mapping[str, Any]
    options: Mapping[str, Any]
    versions: Mapping[str, str]

    def __repr__(self) -> str:
        lines = [
            f"{how}: {_keeping([row for row in self.results if row.trained == trained and row.compressor != BASELINE])}"
            for trained, how in ((True, "trained with it"), (False, "in rollout only"))
        ]
        compressors = {row.compressor for row in self.results} - {BASELINE}
        goals = self.results[0].early.n if self.results else 0
        return (
            f"Study: {100 * NEARLY_ALL:.0f} % or more of the baseline's return, {lines[0]};\n  {lines[1]}\n"
            f"  {len(compressors)} compressor{'s' * (len(compressors) != 1)}, {goals} held-out goals"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per result, as in study.csv; an estimate is four columns: its mean, _low, _high and _n."""
        return [_flat(row) for row in self.results]

    @property
    def header(self) -> tuple[str, ...]:
        """The keys of every row, as in study.csv."""
        return tuple(name for field in fields(StudyRow) for name in _columns_of(field))

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of most interest; `rows` has all."""
        returns = ("n_seeds", "early", "early_low", "early_high", "share", "share_low", "share_high", "solved")
        return ("compressor", "percent", "trained", *returns, "ratio", "saved_flops", "saved_bytes")

    @property
    def caption(self) -> str:
        """Of which episodes the returns are, and what they are compared with."""
        return f"Returns of episodes {EARLY[0]} to {EARLY[1]} with shortened histories, beside the baseline's"

    def row(self, compressor: str, percent: float, trained: bool) -> StudyRow | None:
        """One of the results; None where it was not run."""
        key = (compressor, percent, trained)
        return next((row for row in self.results if (row.compressor, row.percent, row.trained) == key), None)

    def document(self) -> dict[str, Any]:
        """The whole study as JSON values."""
        return {
            "format": FORMAT,
            "rows": [{**asdict(row), "loss": row.loss} for row in self.results],
            "promises": [dict(promise) for promise in self.promises],
            "pattern": dict(self.pattern),
            "options": dict(self.options),
            "versions": dict(self.versions),
        }


def _keeping(rows: Sequence[StudyRow]) -> str:
    """`50 % shorter: recency, uniform; 80 % shorter: none`: who keeps nearly all of the return at which budget."""
    keeping: dict[float, list[str]] = {row.percent: [] for row in sorted(rows, key=lambda row: row.percent)}
    for row in rows:
        if row.share is not None and row.share.mean >= NEARLY_ALL:
            keeping[row.percent].append(row.compressor)
    texts = [f"{percent:g} % shorter: {', '.join(names) or 'none'}" for percent, names in keeping.items()]
    return "; ".join(texts) or "not measured"


def _flat(row: StudyRow) -> dict[str, object]:
    flat: dict[str, object] = {}
    for field in fields(StudyRow):
        value = getattr(row, field.name)
        if isinstance(value, Estimate):
            flat |= zip(_columns_of(field), (value.mean, value.low, value.high, value.n), strict=True)
        else:
            flat |= dict.fromkeys(_columns_of(field), value)
    return flat


def _columns_of(field: Field[Any]) -> list[str]:
    """The columns of a field: an estimate has four."""
    parts = ("low", "high", "n") if field.type in (Estimate, Estimate | None) else ()
    return [field.name, *(f"{field.name}_{part}" for part in parts)]


def _check(values: Mapping[str, Any]) -> None:
    names = ("percent", "length", "seed", "kept", "most_kept", "length_mean", "flops", "bytes")
    numbers = [values[name] for name in names]
    numbers += [] if values["again_flops"] is None else [values["again_flops"]]
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        raise ValueError("a number of it is missing, or below 0")
    if (values["compressor"] == BASELINE) != (values["again_flops"] is not None):
        raise ValueError("again_flops belong to the baseline")
    goals, shape = len(values["optimum"]), np.shape(values["returns"])
    if len(shape) != 3 or shape[0] != goals or not shape[1] or shape[2] != EARLY[1]:
        raise ValueError(f"its returns have the shape {shape}; expected {goals} goals, copies, {EARLY[1]} episodes")
    if not np.isfinite(values["returns"]).all():
        raise ValueError("a return is not finite")
    for name in ("distance", "entropy", "baseline_entropy", "nats", "recent_distant"):
        if np.shape(values[name]) != (goals,):
            raise ValueError(f"{name} has the shape {np.shape(values[name])}; expected {goals} goals")


def write_study(path: Path, study: Study) -> None:
    """Write `study.json` whole or not at all, the same bytes for the same values.

    Raises:
        OutputError: the path cannot be written.
    """
    write_document(path, study.document())


def read_study(path: str | Path) -> Study:
    """Read what `write_study` or `keepmap study` wrote, to an equal study.

    >>> read_study("study_results_that_are_not_there")
    Traceback (most recent call last):
    keepmap.errors.InputError: no study at study_results_that_are_not_there: no such file; keepmap study writes one

    Args:
        path: of the file, or of the folder that it is in.

    Raises:
        InputError: no such file, not a study, or a damaged one.
    """
    path = as_path("path", path)
    path = path / FILE if path.is_dir() else path
    try:
        document = read_document(path)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return _read(document)
    except FileNotFoundError:
        raise InputError(f"no study at {path}: no such file; keepmap study writes one") from None
    except KeyError as error:
        raise InputError(f"{path} is not a study, or is damaged: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a study, or is damaged: {' '.join(str(error).split())}") from None


def _read(document: Mapping[str, Any]) -> Study:
    """The study of a document; errors of many kinds where it is none."""
    if not isinstance(document["rows"], list) or not document["rows"]:
        raise ValueError("it has no rows")
    rows = tuple(map(_read_row, document["rows"]))
    if len({(row.compressor, row.percent, row.trained) for row in rows}) < len(rows):
        raise ValueError("it has a row twice")
    for promise in document["promises"]:
        texts = [promise[name] for name in ("promised", "of", "measured")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(promise["holds"], bool | None):
            raise ValueError("a promise of it is damaged")
    pattern = document["pattern"]
    if not isinstance(pattern["matched"], str) or not all(map(_finite, (pattern["nats"], pattern["recent_distant"]))):
        raise ValueError("its pattern is damaged")
    for name in ("options", "versions"):
        if not isinstance(document[name], dict):
            raise ValueError(f"its {name} are not a mapping")
    study = Study(rows, tuple(document["promises"]), pattern, document["options"], document["versions"])
    expected = study.document()
    wrong = [key for key in expected.keys() | document.keys() if expected.get(key) != document.get(key)]
    if wrong:
        raise ValueError(f"its {min(wrong)} are not those of a study")
    return study


def _read_row(document: Mapping[str, Any]) -> StudyRow:
    values = {}
    for field in fields(StudyRow):
        value, kinds = document[field.name], get_args(field.type) or (field.type,)
        if Estimate in kinds and isinstance(value, dict):
            value = Estimate(**value)
            ends = (value.mean, value.n) if value.low is None else (value.mean, value.n, value.low, value.high)
            if not all(map(_finite, ends)):
                raise ValueError(f"{field.name} of a row is damaged")
        elif not any(_finite(value) if kind in (int, float) else isinstance(value, kind) for kind in kinds):
            raise ValueError(f"{field.name} of a row is {reprlib.repr(value)}")
        values[field.name] = value
    return StudyRow(**values)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
