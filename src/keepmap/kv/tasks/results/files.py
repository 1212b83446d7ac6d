"""A run of tasks as files: all answers with the protocol as JSON, and tables as CSV."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_path
from keepmap.core.storage.documents import read_document, write_document
from keepmap.core.storage.fields import typed
from keepmap.errors import InputError
from keepmap.kv.tasks.results.rows import AnswerRow
from keepmap.kv.tasks.results.task_run import Gate, TaskRun

__all__ = ["FILES", "read_tasks", "write_tasks"]

RESULT, SUMMARY, ANSWERS = "task_results.json", "summary.csv", "answers.csv"
FILES = (RESULT, SUMMARY, ANSWERS)
"""What a run of tasks is in a folder; the same one has the same bytes."""
FORMAT = "keepmap-tasks/1"


def write_tasks(folder: Path, run: TaskRun) -> None:
    """Write the files of a run, each whole or not at all.

    Raises:
        OutputError: one cannot be written.
    """
    document = {
        "format": FORMAT,
        "card": dict(run.card),
        "gates": {task: asdict(gate) for task, gate in run.gates.items()},
        "answers": [asdict(row) for row in run.answers],
    }
    write_document(folder / RESULT, document)
    # The folder is the run's: what is damaged there is made again.
    run.to_csv(folder / SUMMARY, overwrite=True)
    run.table.to_csv(folder / ANSWERS, overwrite=True)


def read_tasks(path: str | Path) -> TaskRun:
    """Read what `keepmap tasks` or `keepmap sweep` wrote, to an equal run.

    >>> import contextlib, io, tempfile
    >>> from keepmap.commands.asking import ask_tasks
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    ...     run = ask_tasks("facts", methods="h2o", n_samples=1, length=150, output_dir=f"{folder}/out")
    ...     same = read_tasks(f"{folder}/out") == run
    >>> same
    True

    Args:
        path: the folder, or its task_results.json.

    Raises:
        InputError: no such file, or one that is no run of tasks, or a damaged one.
    """
    file = as_path("path", path).expanduser()
    file = file / RESULT if file.is_dir() else file
    try:
        document = read_document(file)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return _checked(document)
    except FileNotFoundError:
        raise InputError(
            f"no run of tasks at {file}: no such file; give an output folder of `keepmap tasks` or `keepmap sweep`"
        ) from None
    except KeyError as error:
        raise InputError(f"{file} is not a run of tasks, or is damaged: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file} is not a run of tasks, or is damaged: {' '.join(str(error).split())[:200]}") from None


def _checked(document: dict[str, Any]) -> TaskRun:
    card, gates, answers = (document[name] for name in ("card", "gates", "answers"))
    if not isinstance(card, dict) or not isinstance(gates, dict) or not isinstance(answers, list):
        raise ValueError("its parts have other types")
    passed = {
        typed(task, str, "task"): Gate(
            score=typed(gate["score"], float | None, "score"), passes=typed(gate["passes"], bool, "passes")
        )
        for task, gate in gates.items()
    }
    # Files of earlier versions do not say what the evidence was looked at.
    rows = tuple(AnswerRow.from_json({"mass": None, **values}) for values in answers)
    if unknown := {row.task for row in rows} - set(passed):
        raise ValueError(f"it has answers of {min(unknown)}, and no gate of that")
    return TaskRun(answers=rows, gates=passed, card=card)
