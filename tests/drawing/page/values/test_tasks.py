"""A run of tasks on the page: its sentence, warnings, tables and answers are those of the rows."""

import json
from dataclasses import replace

import numpy as np

from keepmap.drawing.page.values import tasks as module
from keepmap.drawing.page.values.kinds import Asked, shown_value
from keepmap.kv.tasks import FULL
from keepmap.kv.tasks.results.task_run import Gate, TaskRun
from tests.drawing.page.values.test_kinds import Kept
from tests.kv.tasks.rows import row

CARD = {
    "model": "tiny",
    "tasks": [{"name": "facts", "options": {"questions": 4}}],
    "command": [],
    "left_out": ["x: no"],
}


def run(**changes):
    answers = [
        answer
        for sample in range(4)
        for answer in (
            row(sample, FULL, 1.0, 1.0, 1.0),
            row(sample, "h2o", 0.2, float(sample > 1), 0.2 * sample),
            row(sample, "h2o", 0.5, 1.0, 0.9),
            row(sample, "kvzap", 0.2, 0.0, 0.1),
            row(sample, "kvzap", 0.5, float(sample > 0), 0.6),
        )
    ]
    gates = {"facts": Gate(score=1.0, passes=True), "vt": Gate(score=0.25, passes=False)}
    return TaskRun(**{"answers": tuple(answers), "gates": gates, "card": CARD} | changes)


def two(scores, nlls):
    """What is said first of 40 answers of two methods, a share of which is right, with these NLLs, nearly."""
    answers = [row(sample, FULL, 1.0, 1.0, 1.0) for sample in range(40)]
    for method, score, nll in zip(("h2o", "kvzap"), scores, nlls, strict=True):
        each = [row(sample, method, 0.2, float(sample < 40 * score), 0.2) for sample in range(40)]
        answers += [replace(answer, nll=nll + 0.001 * answer.sample) for answer in each]
    return shown(run(answers=tuple(answers)))[0].verdict


def shown(value, **options):
    arrays = Kept()
    return shown_value(value, arrays, Asked(**options)), arrays


def test_the_sentence_names_the_best_method_at_the_smallest_density():
    page, _ = shown(run())
    assert page.verdict == (
        "At density 0.2 H2O answers 50% [15%, 85%] of facts, and the full cache 100% (n = 4; not surely better than "
        "1 of 1 other)."
    )
    nothing = run(
        answers=tuple(replace(answer, score=0.0 if answer.method != FULL else 1.0) for answer in run().answers)
    )
    assert shown(nothing)[0].verdict == (
        "At density 0.2 in facts no method answers anything, and H2O is nearest, with 0.50 nats per token for 0.00."
    )
    texts = run(answers=tuple(replace(answer, score=None) for answer in run().answers))
    assert "in facts H2O is nearest, with 0.50" in shown(texts)[0].verdict
    assert "not surely better than 1 of 1 other" in two(scores=(0.5, 0.5), nlls=(0.1, 5.0)), "alike in what is told"
    assert "not surely better" not in two(scores=(1.0, 0.0), nlls=(0.5, 0.5))
    alone = run(answers=tuple(answer for answer in run().answers if answer.method == FULL))
    assert shown(alone)[0].verdict == "The full cache alone was asked."


def test_what_to_know_before_the_numbers_stands_above_them(monkeypatch):
    page, _ = shown(run())
    assert page.warnings == [
        "Not informative for this model, and in no table: vt, of which the full cache answers 25%.",
        "Left out: x: no",
    ]
    few = run(answers=tuple(replace(answer, answer=None) for answer in run().answers if answer.sample < 2))
    warnings = shown(few)[0].warnings
    assert "No intervals: 2 contexts, and they need 3." in warnings
    assert "Nothing was generated: scores are the least that they can be." in warnings
    monkeypatch.setattr(module, "MOST", 10)
    page, _ = shown(run())
    assert page.warnings[-1] == "Of 20 answers, the 10 of the first samples are shown one by one."
    assert {line[1] for line in page.parts["answers"]["rows"]} == {0, 1}


def test_tables_answers_and_settings_are_those_of_the_run():
    value = run()
    page, arrays = shown(value, folder="out")
    assert len(page.table["rows"]) == len(value.summary) == 5
    h2o = next(line for line in page.table["rows"] if line[:3] == ["facts", "H2O", 0.2])
    assert h2o[3] == 0.5 and h2o[4][0] is not None and abs(h2o[9] - 0.3) < 1e-9
    critical, verdicts = page.more
    assert [line[1] for line in critical["rows"]] == ["H2O", "KVZAP"] and critical["rows"][0][2] <= 0.5
    assert {line[1] for line in verdicts["rows"]} == {0.2, 0.5}
    assert page.settings["task facts"] == "options questions 4" and page.python[0].endswith("read_tasks('out')")
    part = json.loads(json.dumps(page.parts["answers"]))
    line = next(line for line in part["rows"] if line[1] == 0 and line[3:5] == ["kvzap", 0.2])
    assert line[5:7] == [" 4821.\n", " 4821"] and line[7:] == [0.0, 1.0, 0.1, 0.2, None]
    heads = arrays.floats(part["heads"]["of"]).reshape(-1, *part["heads"]["shape"])
    place = part["heads"]["places"].index(["facts", "h2o", 0.2, True, 2])
    np.testing.assert_allclose(heads[place], [[0.8, 0.8]], rtol=0.01)
    dead = run(answers=tuple(replace(answer, deaths=(30, 44)) for answer in value.answers))
    assert {line[-1] for line in shown(dead)[0].parts["answers"]["rows"]} == {43}


def test_redacted_no_word_of_an_answer_is_there():
    page, _ = shown(run(), redact_text=True)
    assert "4821" not in json.dumps(page.parts["answers"]) and "(7 characters, not in this file)" in json.dumps(
        page.parts["answers"]
    )


def test_without_evidence_there_are_no_pictures_of_it():
    blind = run(
        answers=tuple(replace(answer, by_head=None, deaths=None, kept=None, mass=None) for answer in run().answers)
    )
    page, _ = shown(blind)
    assert page.parts["answers"]["heads"] is None and page.parts["answers"]["rows"][0][-2:] == [None, None]
