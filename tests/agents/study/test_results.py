"""Runs and studies as values: their files, their tables, what they say of themselves."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.agents.study.results import StudyRun, read_study, write_study
from keepmap.errors import InputError
from tests.agents.study.some_runs import RUNS, run, study


def test_late_episodes_are_21_to_40() -> None:
    result = run()
    for episode, late in ((19, False), (20, True), (39, True)):
        returns = result.returns.copy()
        returns[:, :, episode] = 100
        assert ((replace(result, returns=returns).early > result.early) == late).all()


def test_a_run_reads_back() -> None:
    result = run("recency", 95.0)
    document = json.loads(json.dumps(result.document(), allow_nan=False))
    again = StudyRun.from_document(document)
    assert (again.returns == result.returns).all()
    assert math.isnan(again.entropy[1]) and again.document() == result.document()


def test_the_file_reads_back_and_has_the_same_bytes(tmp_path: Path) -> None:
    write_study(tmp_path / "study.json", study())
    write_study(tmp_path / "b.json", study())
    assert (tmp_path / "study.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    again = read_study(tmp_path / "study.json")
    assert again == study() and read_study(tmp_path) == study()
    assert again.document() == study().document()
    assert again.row("recency", 80.0, True) == again.results[2] and again.row("recency", 50.0, True) is None
    without = study([run(late=(0, 0, 0)), run(trained=False), run("recency", 80.0)])
    write_study(tmp_path / "study.json", without)
    assert read_study(tmp_path) == without


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "keepmap-study/1"}', '{"format": "keepmap-evaluation/1"}', "[" * 9999]
)
def test_a_file_that_is_no_study(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"no study at .*none.json: no such file; keepmap study writes one"):
        read_study(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"no study at .*study.json: no such file"):
        read_study(tmp_path)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x.json is not a study, or is damaged: ") as raised:
        read_study(tmp_path / "x.json")
    assert "\n" not in str(raised.value)


def damaged_row(**values: object) -> dict[str, object]:
    first, *others = study().document()["rows"]
    return {"rows": [{**first, **values}, *others]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damaged_row(flops="many"), "flops of a row is 'many'"),
        (damaged_row(flops=math.nan), "flops of a row is nan"),
        (damaged_row(trained=1), "trained of a row is 1"),
        (damaged_row(n_seeds=True), "n_seeds of a row is True"),
        (damaged_row(early=None), "early of a row is None"),
        (damaged_row(early={"mean": 1.0, "low": math.inf, "high": 2.0, "n": 3}), "early of a row is damaged"),
        (damaged_row(early={"mean": 1.0}), "missing"),
        (damaged_row(loss=0.3), "its rows are not those of a study"),
        (damaged_row(compressor="recency", percent=80.0), "it has a row twice"),
        ({"rows": []}, "it has no rows"),
        ({"rows": 3}, "it has no rows"),
        ({"promises": [{"promised": "much"}]}, "it has no 'of'"),
        (
            {"promises": [{"promised": "much", "of": "all", "measured": "1", "holds": "yes"}]},
            "a promise of it is damaged",
        ),
        ({"promises": 3}, "not iterable"),
        ({"pattern": {"nats": 1.0, "recent_distant": None, "matched": "recency"}}, "its pattern is damaged"),
        ({"pattern": {}}, "it has no 'matched'"),
        ({"options": []}, "its options are not a mapping"),
        ({"extra": 1}, "its extra are not those of a study"),
    ],
)
def test_a_damaged_study_is_one_line(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "study.json"
    path.write_text(json.dumps(study().document() | change))
    with pytest.raises(InputError, match=f"study.json is not a study, or is damaged: .*{message}") as raised:
        read_study(tmp_path)
    assert "\n" not in str(raised.value)


def test_the_table_has_a_row_for_each_result(tmp_path: Path) -> None:
    result = study()
    assert [row["compressor"] for row in result.rows] == [row.compressor for row in result.results]
    first, values = result.results[2], result.rows[2]
    assert (values["early"], values["early_low"], values["early_high"], values["early_n"]) == (
        first.early.mean,
        first.early.low,
        first.early.high,
        3,
    )
    assert json.loads(json.dumps(result.rows)) == result.rows, "plain values"
    without = study([run(late=(0, 0, 0)), run(trained=False), run("recency", 80.0)])
    assert without.rows[0]["share"] is None and {*map(tuple, without.rows)} == {tuple(result.rows[0])}
    assert (
        result.to_csv(tmp_path / "study.csv").count("\n") == 6
        and (tmp_path / "study.csv").read_text() == result.to_csv()
    )
    shown = result._repr_html_()
    assert "<th>compressor</th>" in shown and "<th>n_seeds</th>" in shown and "again_flops" not in shown
    assert {*result.columns} <= {*result.rows[0]}


def test_the_answer_stands_first() -> None:
    more = [*RUNS, run("uniform", 80.0, late=(10.0, 20.0, 14.8)), run("random", 80.0, late=(1.0, 2.0, 3.0))]
    assert repr(study(more)).splitlines() == [
        "Study: 98 % or more of the baseline's return, trained with it: 50 % shorter: attention; "
        "80 % shorter: uniform;",
        "  in rollout only: 80 % shorter: none",
        "  4 compressors, 3 held-out goals",
    ]
    assert "in rollout only: not measured" in repr(study([run(), run(trained=False)]))
    assert repr(replace(study(), results=())).endswith("0 compressors, 0 held-out goals")
