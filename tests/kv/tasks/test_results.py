"""Rows to tables, fronts, critical footprints and verdicts, on answers that are written down."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError
from keepmap.kv.tasks.asking.retention import retention_of
from keepmap.kv.tasks.asking.scoring import is_exact, ruler_score
from keepmap.kv.tasks.results.files import read_tasks, write_tasks
from keepmap.kv.tasks.results.rows import FULL, AnswerRow
from keepmap.kv.tasks.results.task_run import Gate, TaskRun
from tests.kv.tasks.rows import ROW, row

COVERS = ("keepmap.kv.tasks.results.*",)


@pytest.fixture(scope="module")
def run() -> TaskRun:
    """Four contexts of two questions: "good" answers all at 0.5, half at 0.2; "bad" a quarter and nothing."""
    answers = []
    for sample in range(4):
        for question in range(2):
            answers += [
                row(sample, FULL, 1.0, 1.0, 1.0, question),
                row(sample, "good", 0.5, 1.0, 0.9, question),
                row(sample, "bad", 0.5, float(sample == 0), 0.6 if sample == 0 else 0.1, question),
                row(sample, "good", 0.2, float(question == 0), 0.7 - 0.4 * question, question),
                row(sample, "bad", 0.2, 0.0, 0.0, question),
                replace(row(sample, FULL, 1.0, 0.0, 1.0, question), task="hard"),
            ]
    gates = {"facts": Gate(score=1.0, passes=True), "hard": Gate(score=0.0, passes=False)}
    return TaskRun(answers=tuple(answers), gates=gates, card={"model": "tiny"})


def test_a_row_has_means_intervals_and_what_became_of_the_evidence(run: TaskRun) -> None:
    rows = {(each.method, each.density): each for each in run.summary}
    assert list(rows) == [(FULL, 1.0), ("good", 0.2), ("bad", 0.2), ("good", 0.5), ("bad", 0.5)]
    half = rows["good", 0.2]
    assert (half.score, half.n, half.n_contexts) == (0.5, 8, 4)
    assert (half.kept_right, half.kept_wrong, half.lost_right, half.lost_wrong) == (4, 0, 0, 4)
    assert (half.score_kept, half.score_lost) == (1.0, 0.0)
    # The questions of a context are one value: Wilson's interval of 4, not of 8; four wrong ones are not sure to be 0.
    assert (half.score_low, half.score_high) == pytest.approx((0.150, 0.850), abs=1e-3)
    bad = rows["bad", 0.5]
    assert (bad.score, bad.score_low, bad.score_high) == pytest.approx((0.25, 0.046, 0.699), abs=1e-3)
    assert (rows["bad", 0.2].score_low, rows["bad", 0.2].score_high) == pytest.approx((0.0, 0.490), abs=1e-3)
    assert bad.score_kept == 1.0 and rows["bad", 0.2].score_kept is None


def test_tables_have_every_row(run: TaskRun) -> None:
    assert run.to_csv().startswith("task,method,label,density,n,") and len(run.rows) == 5
    table = run.table
    assert len(table.rows) == len(run.answers) and list(table.rows[0]) == list(table.header)
    assert table.rows[0]["tokens_gone"] == 1 and "by_head" not in table.rows[0]
    assert repr(run) == "TaskRun(tiny: 8 questions of facts, 2 methods; not informative: hard)"
    assert repr(table) == "AnswerTable(48 answers)" and "<table>" in run._repr_html_()


def test_verdicts_are_paired_by_question_and_clustered_by_context(run: TaskRun) -> None:
    (pair,) = run.verdicts("facts", 0.5, measure="score").pairs
    assert (pair.a, pair.b, pair.n, pair.n_clusters, pair.difference) == ("good", "bad", 8, 4, 0.75)
    assert run.verdicts("facts", 0.2).better == "lower" and run.verdicts("facts", 0.2).unit == "nats per token"


def test_critical_memory_and_fronts(run: TaskRun) -> None:
    good = run.critical("facts", "good")
    assert good.footprint == pytest.approx(0.2 + 0.3 * 0.8) and good.n_clusters == 4
    assert run.critical("facts", "good", by="footprint").footprint == good.footprint
    assert run.critical("facts", "bad").footprint == pytest.approx(0.5 + 0.5 * (0.65 / 0.75))
    assert [(each.method, each.density) for each in run.front("facts")] == [("good", 0.2), ("good", 0.5)]
    assert [each.method for each in run.front("facts", measure="nll")] == ["good", "good"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.verdicts("hard", 0.5), "expected `task` to be one of facts"),
        (lambda run: run.verdicts("facts"), "expected `density` to be one of 0.2, 0.5, got None"),
        (lambda run: run.verdicts("facts", 0.5, measure="f1"), "unknown `measure`"),
        (lambda run: run.critical("facts", "none"), "expected `method` to be one of good, bad"),
        (lambda run: run.critical("facts", "good", by="nbytes"), "unknown `by`"),
        (lambda run: run.front("facts", by="size"), "unknown `by`"),
    ],
)
def test_what_is_not_there_is_one_line(run: TaskRun, call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(run)


@pytest.mark.parametrize(
    ("field", "value"),
    [("nll", "x"), ("answer", 3), ("sample", 1.5), ("by_head", [["a"]]), ("deaths", ["x"]), ("target", None)],
)
def test_a_damaged_row_is_a_value_error(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        AnswerRow.from_json({**asdict(ROW), field: value})


def test_rulers_scoring_to_the_letter() -> None:
    assert ruler_score(" A1\x00b2 ", ["a1\nB2"], "all") == 1.0
    assert ruler_score("x", ["y"], "part") == 0.0 and ruler_score("xy", ["x", "z", "y", "w"], "all") == 0.5
    assert is_exact(" 12, 34, and more", " 12, 34") and not is_exact("12, 345", " 12, 34")
    assert not is_exact("", " 1")


def test_without_evidence_nothing_is_said_of_it() -> None:
    import torch

    from keepmap.core.keep_map import KeepMap

    assert retention_of(KeepMap(torch.tensor([[[2, 2]]]), torch.zeros(1, 1, 2)), []) is None


def test_files_are_read_as_they_were_written_and_damage_is_one_line(run: TaskRun, tmp_path: Path) -> None:
    write_tasks(tmp_path, run)
    assert read_tasks(tmp_path) == run == read_tasks(tmp_path / "task_results.json")
    assert (tmp_path / "answers.csv").read_text().startswith("task,sample,question,method,")
    first = (tmp_path / "task_results.json").read_bytes()
    write_tasks(tmp_path, run)
    assert (tmp_path / "task_results.json").read_bytes() == first
    for damaged in (
        b"",
        b"{}",
        b"[]",
        first.replace(b"keepmap-tasks/1", b"keepmap-tasks/9"),
        first.replace(b"0.8", b"0.7"),
    ):
        (tmp_path / "task_results.json").write_bytes(damaged)
        with pytest.raises(InputError, match="is not a run of tasks, or is damaged"):
            read_tasks(tmp_path)
    with pytest.raises(InputError, match="no run of tasks at"):
        read_tasks(tmp_path / "none")


def test_files_without_the_mass_are_read(run: TaskRun, tmp_path: Path) -> None:
    write_tasks(tmp_path, run)
    document = read_document(tmp_path / "task_results.json")
    for values in document["answers"]:
        del values["mass"]
    write_document(tmp_path / "task_results.json", document)
    assert read_tasks(tmp_path) == replace(run, answers=tuple(replace(row, mass=None) for row in run.answers))
