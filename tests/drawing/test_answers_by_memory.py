"""Answers against memory, and what was kept of the evidence: what is drawn is what the run says."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

import keepmap.draw
from keepmap.errors import InputError
from keepmap.kv.tasks import FULL, TaskRun
from keepmap.kv.tasks.results.task_run import Gate
from tests.kv.tasks.rows import row

COVERS = ("keepmap.drawing.answers_by_memory", "keepmap.drawing.evidence_kept")


def run_of(tasks: tuple[str, ...] = ("facts",)) -> TaskRun:
    """Three contexts at two densities: "good" is right at 0.5, and once of three at 0.2; "bad" is always wrong."""
    answers = [
        replace(each, task=task)
        for task in tasks
        for sample in range(3)
        for each in (
            row(sample, FULL, 1.0, 1.0, 1.0),
            row(sample, "good", 0.5, 1.0, 0.9),
            row(sample, "bad", 0.5, 0.0, 0.1),
            row(sample, "good", 0.2, float(sample == 0), 0.5),
            row(sample, "bad", 0.2, 0.0, 0.0),
        )
    ]
    gates = {task: Gate(score=1.0, passes=True) for task in tasks}
    return TaskRun(answers=tuple(answers), gates=gates, card={"model": "tiny", "mode": "once"})


def test_every_method_is_a_curve_over_its_densities_in_a_panel_of_each_task() -> None:
    axes = keepmap.draw.answers_by_memory(run_of(("facts", "vt", "qa", "cwe")))
    assert len(axes) == 4 and len({ax.get_position().y0 for ax in axes}) == 2
    lines = {line.get_label(): line for line in axes[0].containers}
    assert set(lines) == {"GOOD", "BAD"}
    good = lines["GOOD"].lines[0]
    assert good.get_xdata().tolist() == pytest.approx([20.0, 50.0])
    assert good.get_ydata().tolist() == pytest.approx([1 / 3, 1.0])
    (ax,) = keepmap.draw.answers_by_memory(run_of(), measure="nll", by="footprint")
    assert "nats" in ax.get_ylabel() and "on average" in ax.get_xlabel()


def test_evidence_is_drawn_apart_for_right_and_wrong_answers() -> None:
    axes = keepmap.draw.evidence_kept(run_of(), density=0.2)
    words = [[text.get_text() for text in ax.texts if "density" not in text.get_text()] for ax in axes]
    assert words == [["right (1)", "GOOD"], ["wrong (2)"], ["none", "right (0)", "BAD"], ["wrong (3)"]]
    assert [len(ax.images) for ax in axes] == [1, 1, 0, 1] and axes[0].images[0].get_array().shape == (1, 2, 3)
    drawn = keepmap.draw.evidence_kept(run_of(), ax=Figure().subplots(1, 4))
    assert [text.get_text() for text in drawn[0].texts][0] == "right (3)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: keepmap.draw.answers_by_memory(run, measure="f1"), "unknown `measure`"),
        (lambda run: keepmap.draw.answers_by_memory(run, by="size"), "unknown `by`"),
        (lambda run: keepmap.draw.evidence_kept(run, task="vt"), "expected `task` to be one of facts, got 'vt'"),
        (lambda run: keepmap.draw.evidence_kept(run, density=0.3), "expected `density` to be one of 0.2, 0.5"),
    ],
)
def test_what_is_not_there_is_one_line(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(run_of())


def test_texts_have_no_scores_and_no_evidence() -> None:
    answers = tuple(
        replace(each, score=None, exact=None, kept=None, by_head=None, deaths=None) for each in run_of().answers
    )
    texts = replace(run_of(), answers=answers)
    assert len(keepmap.draw.answers_by_memory(texts, measure="nll")) == 1
    with pytest.raises(InputError, match="to have a task with a score, got none"):
        keepmap.draw.answers_by_memory(texts)
    with pytest.raises(InputError, match="to have a task with evidence, got none"):
        keepmap.draw.evidence_kept(texts)
