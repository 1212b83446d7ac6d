"""A study of a family as a file: read to the same findings; what is damaged is one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepmap import read_family_study
from keepmap.agents.study.lives import findings_of, write_family_study
from keepmap.core.storage.documents import write_document
from keepmap.errors import InputError
from tests.agents.study.lives.some_lives import BEST, LIVES, RANDOM, TASKS

COVERS = ["keepmap.agents.study.lives.files"]
OPTIONS, VERSIONS = {"world": "bandit", "command": "keepmap study"}, {"keepmap": "0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_family_study(tmp_path / "family_study.json", LIVES, BEST, RANDOM, OPTIONS, VERSIONS)
    return tmp_path


def test_what_was_written_is_read_to_the_same_findings(folder: Path) -> None:
    again, study = read_family_study(folder), findings_of(LIVES, BEST, RANDOM, OPTIONS, VERSIONS)
    assert again == study == read_family_study(folder / "family_study.json")
    before = (folder / "family_study.json").read_bytes()
    write_family_study(folder / "family_study.json", LIVES, BEST, RANDOM, OPTIONS, VERSIONS)
    assert (folder / "family_study.json").read_bytes() == before


def test_times_beside_it_are_read_too(folder: Path) -> None:
    write_document(folder / "action_time.json", {"baseline": 0.003})
    assert read_family_study(folder).times == {"baseline": 0.003}
    (folder / "action_time.json").write_text("{")
    with pytest.raises(InputError, match="delete it to measure again"):
        read_family_study(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other/1"}, "its format is not keepmap-family-study/1"),
        ({"best": [[5.0]] * (TASKS - 1)}, "what best agents earn is not that of its tasks and episodes"),
        ({"random": [[None]] * TASKS}, "what random agents earn is not finite"),
        ({"lives": []}, "its lives are not of the same tasks, one of them with the whole history"),
        ({"lives": [LIVES[0].document()]}, "its lives are not of the same tasks, one of them with the whole history"),
        ({"options": 3}, "its options are not a mapping"),
        ({"versions": None}, "it has no 'versions'"),
        ({"lives": 3}, "is no study of a family, or is damaged"),
    ],
)
def test_what_is_damaged_is_one_line(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "family_study.json"
    document = {name: value for name, value in json.loads(path.read_text()).items() if name != "checksum"} | change
    path.write_text(json.dumps({name: value for name, value in document.items() if name != "versions" or value}))
    with pytest.raises(InputError, match=message) as error:
        read_family_study(folder)
    assert "\n" not in str(error.value)


def test_a_curve_has_a_mean_for_each_episode(folder: Path) -> None:
    study = read_family_study(folder)
    np.testing.assert_allclose(study.curves[0], 0.93)
    assert [len(curve) for curve in study.curves] == [LIVES[0].returns.shape[-1]] * len(LIVES)
