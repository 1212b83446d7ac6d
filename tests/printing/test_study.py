"""What a study prints and writes: its plan, its table, what the columns mean, and what the guide promised."""

from dataclasses import replace

import pytest

from keepmap.agents.study.results import Study
from keepmap.printing.study import findings, legend, markdown, notes, pattern_line, promise_lines, table
from tests.agents.study.some_runs import RUNS, run, study

TIMES = {"recency 80%": {"training_seconds": 61.4, "1": 0.0012, "64": 0.0345}}


@pytest.fixture(scope="module")
def measured_study() -> Study:
    return replace(study(), options={"command": "keepmap study", "notes": ["Retraining: more."]})


def test_what_was_measured_in_rollout_only_stands_beside_what_was_trained(measured_study: Study) -> None:
    lines = table(measured_study, TIMES)
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if line.startswith("recency 80%")]
    cells = " ".join(line.removeprefix("recency 80%") for line in rows).split()
    row, alone = measured_study.row("recency", 80.0, True), measured_study.row("recency", 80.0, False)
    assert row is not None and alone is not None and row.early.low is not None and row.early.high is not None
    assert cells[:6] == ["2", "11.50", f"{row.early.low:.2f}", "..", f"{row.early.high:.2f}", "92.0%"]
    assert f"{alone.early.mean:.2f}" in cells and "50.0%" in cells
    assert cells[-3:] == ["61", "1.2", "34.5"]
    untimed = " ".join(line.removeprefix("attention 50%") for line in lines if line.startswith("attention 50%")).split()
    assert untimed[-3:] == ["-", "-", "-"] and untimed.count("-") == 6, "no times, and no run without training"


def test_the_columns_are_explained_in_lines_that_fit(measured_study: Study) -> None:
    lines = legend(measured_study)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "return: mean of episodes 21 to 40; of baseline: paired over goals" in text
    assert "without it, each of the two takes 0 k." in text


def test_notes_say_how_agents_were_trained() -> None:
    retrained = notes(1, 200, False, 2)
    assert retrained[0].startswith("Retraining: every agent starts from the baseline's weights and is trained for 200")
    assert retrained[-1].startswith("One checkpoint was given: training seeds differ")
    scratch = notes(2, 1500, True, 2)
    assert scratch[0] == "Every agent, the baseline too, was trained from random weights for 1,500 updates."
    assert len(scratch) == 2 and scratch[1].startswith("In rollout only:")


def test_promises_stand_beside_what_was_measured(measured_study: Study) -> None:
    assert pattern_line(measured_study) == (
        "The baseline's attention has an entropy of 3.20 nats and a recent/distant ratio of 1.50: the guide matches "
        "uniform to it."
    )
    lines = promise_lines(measured_study)
    assert max(map(len, lines)) <= 80
    promise = "80 % shorter: 80 % less memory"
    cells = " ".join(line.removeprefix(promise) for line in lines if line.startswith(promise)).split()
    assert cells == ["without", "attention", "79.0", "%", "yes"]
    assert any("Left out" in line for line in promise_lines(study([*RUNS, run("random", 30.0)]))) is False
    kept_less = replace(measured_study, results=tuple(replace(row, ratio=0.9) for row in measured_study.results))
    text = " ".join(" ".join(promise_lines(kept_less)).split())
    assert "Left out, since they keep another share than their budget's: attention 50% (90.0% kept), rec" in text


def test_the_page_begins_with_what_was_found_and_has_all_tables(measured_study: Study) -> None:
    page = markdown(measured_study, TIMES, "images/study.png")
    assert page.startswith("# Compressors: what they cost\n\nWritten by `keepmap study`.\n\n- 50 % shorter, trained")
    assert "](images/study.png)" in page and "](study.csv)" in page and page.count("| recency 80% |") == 3
    assert (
        "| promised | of | measured | holds |\n|---|---|---|---|\n| 50 % shorter: 50 % less memory | by attention |"
        in page
    )
    chapters = [line for line in page.splitlines() if line.startswith("#")]
    assert chapters[1:3] == ["## What was promised", "## All numbers"] and chapters[-1] == "## How it was measured"
    assert page[page.index(chapters[-1]) :].splitlines()[2] == "- Retraining: more."
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert max(line.count("|") - 1 for line in lines) == 8


def test_what_was_found_is_said_in_sentences(measured_study: Study) -> None:
    assert findings(measured_study) == [
        "50 % shorter, trained with it: 1 of 1 compressors keep 95 % of the baseline's return or more.",
        "80 % shorter, trained with it: 0 of 1 compressors keep 95 % of the baseline's return or more; recency 92 %.",
        "80 % shorter, in rollout only: 0 of 1 compressors keep 95 % of the baseline's return or more; recency 50 %.",
        f"Of {len(measured_study.promises)} promises of the guide, "
        f"{sum(promise['holds'] is True for promise in measured_study.promises)} hold.",
    ]
    better = study([*RUNS, run("uniform", 80.0, 0, late=(10.0, 20.0, 15.0))])
    assert (
        "80 % shorter, trained with it: 1 of 2 compressors keep 95 % of the baseline's return or more (uniform); "
        "recency 92 %." in findings(better)
    )
