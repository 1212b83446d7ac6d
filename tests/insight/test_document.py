"""Insight as JSON values: what a run writes is read back equal, also from files of earlier versions."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keepmap.errors import InputError
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.document import as_document, read_verification
from keepmap.insight.text_subject import TextSubject
from keepmap.insight.verification import Compared, Difference, Rival, Trial, Verification


def verification(host: str) -> Verification:
    subject = AgentSubject() if host == "agent" else TextSubject(3)
    suggestion = subject.suggestion("sparse", 7, 40)
    costs = dict.fromkeys(subject.costs, 0.25)
    trial = Trial(layer=1, sample=0, group=0, rule="guide", pattern="sparse", kept=7, of=39, cost=costs, random=costs)
    overall = Compared(
        rule="guide", suggestion=suggestion, unit="kl", whole=0.0, suggested=1.0, random=2.0, saved=1.0, low=None,
        high=None, n=1, lost=Difference(1.0, None, None), rival=Rival("other", 1.5, Difference(0.5, -0.5, 1.5)),
    )  # fmt: skip
    return Verification(
        host=host,
        costs=subject.costs,
        trials=(trial,),
        skipped=("nothing",),
        suggestion=suggestion,
        compared=(overall,),
        n_samples=1,
        n_draws=2,
        seed=3,
    )


def written(path: Path, document: object) -> Path:
    path.write_text(json.dumps({"verification": document}))
    return path


@pytest.mark.parametrize("host", ["agent", "language model"])
def test_what_is_written_is_read_back(tmp_path: Path, host: str) -> None:
    expected = verification(host)
    assert read_verification(written(tmp_path / "attention.json", as_document(expected))) == expected
    assert read_verification(tmp_path) == read_verification(str(tmp_path)) == expected


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    expected = verification("agent")
    document: dict[str, Any] = as_document(expected)
    document["trials"][0]["rule"] = document["compared"][0]["rule"] = "seed"
    document["compared"][0]["made"] = document["compared"][0].pop("suggestion")
    assert read_verification(written(tmp_path / "attention.json", document)) == expected
    del document["compared"][0]["lost"], document["compared"][0]["rival"]
    (older,) = read_verification(written(tmp_path / "attention.json", document)).compared
    assert older == replace(expected.compared[0], lost=None, rival=None)


def test_what_holds_none_is_one_line(tmp_path: Path) -> None:
    for path, name in ((tmp_path / "nowhere.json", "nowhere.json"), (tmp_path, "attention.json")):
        with pytest.raises(InputError, match=f"{name}: no such file; keepmap attention writes one"):
            read_verification(path)
    damaged = as_document(verification("agent"))
    damaged["suggestion"]["keep"] = 8
    for document in ({}, {"host": "agent"}, damaged):
        with pytest.raises(InputError, match="holds no verification, or is damaged"):
            read_verification(written(tmp_path / "attention.json", document))


def test_json_has_no_nan_and_a_suggestion_says_its_line() -> None:
    assert as_document({1: (math.nan, math.inf, 2.0)}) == {"1": [None, None, 2.0]}
    assert as_document(AgentSubject().suggestion("recency", 3, 9)) == {
        "pattern": "recency",
        "keep": 3,
        "of": 9,
        "name": "recency",
        "options": {"keep_recent": 3},
        "line": "from compression_strategies import RecencyCompressor; compressor = RecencyCompressor(keep_recent=3)",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"kept": None}, {"kept": -1}, {"of": 0, "kept": 0}, {"layer": "1"}, {"layer": True},
        {"pattern": "\x1b"}, {"cost": {}}, {"cost": {"kl": "0.25", "log_likelihood": 0.25}},
        {"random": 3}, {"random": {"kl": 1.0}},
    ],
    ids=str,
)  # fmt: skip
def test_a_trial_of_other_values_is_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    document: dict[str, Any] = as_document(verification("agent"))
    document["trials"][0] |= change
    with pytest.raises(InputError, match="holds no verification, or is damaged"):
        read_verification(written(tmp_path / "attention.json", document))


@pytest.mark.parametrize(
    "change", [{"seed": None}, {"n_draws": 1.5}, {"costs": [3]}, {"skipped": "ab\x1b"}, {"trials": [3]}]
)
def test_a_verification_of_other_values_is_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    document: dict[str, Any] = as_document(verification("agent")) | change
    with pytest.raises(InputError, match="holds no verification, or is damaged"):
        read_verification(written(tmp_path / "attention.json", document))
