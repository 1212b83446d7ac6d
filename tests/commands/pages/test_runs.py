"""Folders of every kind of run as what a page shows: the values that were written, and how to have them again."""

import dataclasses
import json

import pytest

from keepmap.agents.evaluation.returns import write_evaluation
from keepmap.agents.study.results import write_study
from keepmap.commands.generate import generate_text
from keepmap.commands.pages.report import report_runs
from keepmap.commands.pages.runs import reported_runs
from keepmap.core.runs.command import typing
from keepmap.errors import InputError
from keepmap.insight.document import as_document
from keepmap.kv.tasks import write_tasks
from tests.commands.pages.test_report import document
from tests.drawing.page.every_value import TEXT, values


def test_each_kind_of_folder_is_its_value(tmp_path):
    for name, write, file in (
        ("evaluation", write_evaluation, "evaluation.json"),
        ("study", write_study, "study.json"),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name / file, values()[name])
        (run,) = reported_runs(tmp_path / name)
        assert run.value == values()[name] and (run.name, run.folder, run.command) == (name, str(tmp_path / name), ())


def test_a_run_of_tasks_is_its_answers(tmp_path):
    write_tasks(tmp_path, values()["tasks"])
    (run,) = reported_runs(tmp_path)
    assert run.value == values()["tasks"] and run.folder == str(tmp_path)
    text = report_runs(tmp_path, tmp_path / "report.html", redact_text=True).read_text(encoding="utf-8")
    assert "The code of" not in text and "characters, not in this file" in text


def test_a_trained_surrogate_says_how_much_it_explains(tmp_path):
    trained = values()["surrogate"]
    trained.surrogate.save(tmp_path)
    trained.write(tmp_path)
    (run,) = reported_runs(tmp_path)
    assert run.value.mean == trained.mean and run.folder == str(tmp_path)
    (shown,) = document(report_runs(tmp_path, tmp_path / "report.html"))["runs"]
    assert shown["kind"] == "surrogate"


def test_a_generation_says_the_command_that_was_typed(tmp_path, capsys):
    (tmp_path / "prompt.txt").write_text(TEXT)
    with typing(["keepmap", "generate", "prompt.txt"]):
        generation = generate_text(tmp_path / "prompt.txt", max_new_tokens=3, output_dir=tmp_path / "out", quiet=True)
    (run,) = reported_runs(tmp_path / "out")
    assert run.value == generation and run.command == ("keepmap", "generate", "prompt.txt")


def test_of_attention_every_sample_and_the_test_by_deletion_are_on_the_page(tmp_path):
    folder = tmp_path / "looked"
    (folder / "samples").mkdir(parents=True)
    profile = dataclasses.replace(values()["attention"], captured=None)
    for number in (10, 2):
        profile.save(folder / "samples" / f"sample{number}.safetensors")
    (folder / "attention.json").write_text(json.dumps({"verification": as_document(values()["verification"])}))
    runs = reported_runs(folder)
    assert [run.name for run in runs] == ["looked, sample2", "looked, sample10", "looked, by deletion"]
    assert runs[0].value.shape == profile.shape and runs[2].value == values()["verification"]
    page = document(report_runs(folder, tmp_path / "report.html"))
    assert [run["kind"] for run in page["runs"]] == ["attention", "attention", "verification"]
    (folder / "attention.json").write_text("{")
    with pytest.raises(InputError, match="cannot read .*attention.json"):
        reported_runs(folder)


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no results at .*nowhere: no such folder; give what `keepmap compare`"):
        reported_runs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="it has none of detailed_results.json, .*; give what `keepmap comp"):
        reported_runs(tmp_path)
    (tmp_path / "attention.json").write_text("{}")
    with pytest.raises(InputError, match="no profile in .*samples; run keepmap attention again"):
        reported_runs(tmp_path)
