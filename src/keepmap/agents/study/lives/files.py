"""A study of a family as a file: its lives and what can be earned, from which all that is said of it follows again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.agents.study.lives.findings import FamilyStudy, findings_of
from keepmap.agents.study.lives.lived import Lived
from keepmap.agents.study.results import BASELINE
from keepmap.agents.study.timings import FILE as TIMES_FILE
from keepmap.agents.study.timings import read_times
from keepmap.core.arguments import as_path
from keepmap.core.files import plain
from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError

__all__ = ["LIVES_FILE", "TIMES_FILE", "read_family_study", "write_family_study"]

FORMAT = "keepmap-family-study/1"
LIVES_FILE = "family_study.json"
"""What it is called in the folder of a study."""


def write_family_study(
    path: Path,
    lives: Sequence[Lived],
    best: Float[np.ndarray, "G L"],
    random: Float[np.ndarray, "G L"],
    options: Mapping[str, Any],
    versions: Mapping[str, str],
) -> None:
    """Write what `findings_of` takes, whole or not at all, the same bytes for the same values.

    Raises:
        OutputError: the path cannot be written.
    """
    write_document(
        path,
        {
            "format": FORMAT,
            "lives": [each.document() for each in lives],
            "best": plain(best),
            "random": plain(random),
            "options": dict(options),
            "versions": dict(versions),
        },
    )


def read_family_study(path: str | Path) -> FamilyStudy:
    """Read what `keepmap study --family` wrote, with the times of actions where they lie beside it.

    >>> read_family_study("family_study_that_is_not_there")
    Traceback (most recent call last):
    keepmap.errors.InputError: no study of a family at family_study_that_is_not_there: no such file; ...

    Args:
        path: of the file, or of the folder that it is in.

    Raises:
        InputError: no such file, not a study of a family, or a damaged one.
    """
    path = as_path("path", path)
    path = path / LIVES_FILE if path.is_dir() else path
    try:
        document = read_document(path)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        study = _read(document)
    except FileNotFoundError:
        raise InputError(f"no study of a family at {path}: no such file; keepmap study --family writes one") from None
    except KeyError as error:
        raise InputError(f"{path} is no study of a family, or is damaged: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise InputError(f"{path} is no study of a family, or is damaged: {words}") from None
    times = path.with_name(TIMES_FILE)
    return replace(study, times=read_times(times)) if times.is_file() else study


def _read(document: Mapping[str, Any]) -> FamilyStudy:
    """The study of a document; errors of many kinds where it is none."""
    lives = [Lived.from_document(each) for each in document["lives"]]
    shapes = {each.returns.shape for each in lives}
    if len(shapes) != 1 or [each.compressor for each in lives].count(BASELINE) != 1:
        raise ValueError("its lives are not of the same tasks, one of them with the whole history")
    (shape,) = shapes
    earned = [np.array(document[name], dtype=np.float64) for name in ("best", "random")]
    for name, values in zip(("best", "random"), earned, strict=True):
        if values.ndim != 2 or len(values) != shape[1] or values.shape[1] not in (1, shape[3]):
            raise ValueError(f"what {name} agents earn is not that of its tasks and episodes")
        if not np.isfinite(values).all():
            raise ValueError(f"what {name} agents earn is not finite")
    for name in ("options", "versions"):
        if not isinstance(document[name], dict):
            raise ValueError(f"its {name} are not a mapping")
    best, random = earned
    return findings_of(lives, best, random, document["options"], document["versions"])
