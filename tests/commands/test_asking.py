"""`keepmap tasks` and `keepmap sweep`: lists, tables, files; the same call goes on, another one is refused."""

from pathlib import Path

import pytest

import keepmap
from keepmap.commands.asking import ask_tasks, sweep_tasks
from keepmap.errors import InputError
from keepmap.kv.tasks import TaskSession, plan_tasks
from keepmap.language_model import load_language_model
from tests.kv.tasks.test_run_tasks import OPTIONS as PLAN_OPTIONS

COVERS = ("keepmap.printing.tasks",)
OPTIONS = {"methods": "streaming_llm, h2o", "n_samples": 3, "length": 200, "window": 16}
PLAN = {**PLAN_OPTIONS, "n_samples": 1, "length": 200}


def test_without_tasks_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask_tasks() is None
    printed = capsys.readouterr().out
    assert all(f"{name} " in printed for name in keepmap.tasks()) and max(map(len, printed.splitlines())) <= 80


def test_a_sweep_is_printed_drawn_and_written_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("The sky is blue. The grass is green. Here we go. There and back again. " * 4)
    folder = tmp_path / "out"
    options = {**OPTIONS, "density": (0.2, 0.6), "data_path": texts, "output_dir": folder}
    run = sweep_tasks("facts, niah_single_1", **options)
    printed = capsys.readouterr().out
    assert "Gate: the full cache answers 100% of facts\n" in printed
    assert "of niah_single_1: not informative for this model" in printed
    for words in ("StreamingLLM 0.6", "facts, density 0.2, NLL", "entries held from which on", "lost right/wrong"):
        assert words in printed
    assert max(map(len, printed.replace(str(tmp_path), "").splitlines())) <= 95
    pictures = {"answers_by_memory.png", "answer_nll_by_memory.png", "evidence_kept.png"}
    assert pictures | {"task_results.json", "summary.csv", "answers.csv"} < {path.name for path in folder.iterdir()}
    assert keepmap.read_tasks(folder) == run and run.tasks == ("facts", "text")
    assert keepmap.read_run(folder).finished and keepmap.read_run(folder).n_units == 7 + 4
    before = (folder / "task_results.json").read_bytes()
    next((folder / "answers").glob("facts_00001.json")).unlink()
    answers = []
    monkeypatch.setattr("keepmap.kv.tasks.session.answers_of", lambda *words: answers.append(words) or iter(()))
    with pytest.raises(ValueError, match="shorter"):
        sweep_tasks("facts, niah_single_1", **options)
    assert len(answers) == 1, "what is recorded is not asked again"
    monkeypatch.undo()
    assert sweep_tasks("facts, niah_single_1", **options) == run
    assert (folder / "task_results.json").read_bytes() == before
    with pytest.raises(InputError, match="holds another run: `tasks` is"):
        sweep_tasks("facts", **options)


def test_what_is_wrong_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for call, message in (
        (lambda: ask_tasks("fact", output_dir=folder), "unknown task"),
        (lambda: ask_tasks("facts", chat_template=True, output_dir=folder, **OPTIONS), "no chat template"),
        (lambda: sweep_tasks(data_path=tmp_path / "none", output_dir=folder), "nothing|no file|no such"),
    ):
        with pytest.raises(InputError, match=message):
            call()
        assert not folder.exists()


def test_what_other_processes_answer_is_recorded_and_what_is_there_is_not_asked_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    session = TaskSession(plan_tasks("facts", "streaming_llm, h2o", 0.5, **PLAN), load_language_model("tiny"))

    def by_others(units, openings, folder):
        calls.append([unit.name for unit in units])
        for unit in units:
            yield unit, None  # the first process dies
            yield unit, unit.values(session)

    monkeypatch.setattr("keepmap.commands.asking.by_workers", by_others)
    options = {**OPTIONS, "n_samples": 1, "output_dir": tmp_path / "out", "workers": 2}
    run = ask_tasks("facts", **options)
    assert calls == [["answers/facts_00000_full.json"], ["answers/facts_00000.json"]]
    assert "A worker died on answers/facts_00000.json; another one goes on" in capsys.readouterr().err
    monkeypatch.setattr("keepmap.kv.tasks.session.answers_of", lambda *words: pytest.fail("asked again"))
    assert ask_tasks("facts", **options) == run and calls[2:] == [[], []]
