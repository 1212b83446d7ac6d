"""Units by processes of their own: the same answers, and what a process died on is told."""

from pathlib import Path

import pytest

from keepmap.errors import InputError
from keepmap.kv.tasks import TaskSession, Unit, openings_of, plan_tasks
from keepmap.kv.tasks.workers import by_workers
from keepmap.language_model import load_language_model
from tests.kv.tasks.test_run_tasks import OPTIONS

PLAN = plan_tasks("facts", "streaming_llm, key_norm", (0.2, 0.6), **{**OPTIONS, "n_samples": 1, "length": 150})


def test_a_process_answers_as_this_one_does(tmp_path: Path) -> None:
    (opening,) = openings_of(PLAN, "tiny", dtype="auto", device="cpu", workers=None)
    unit = Unit("facts", 0, is_full=False)
    ((done, values),) = by_workers([unit], [opening], tmp_path)
    assert done == unit and values == unit.values(TaskSession(PLAN, load_language_model("tiny")))
    assert [(row["method"], row["density"]) for row in values][::4] == [
        ("streaming_llm", 0.2),
        ("key_norm", 0.2),
        ("streaming_llm", 0.6),
        ("key_norm", 0.6),
    ]


def test_there_is_one_opening_for_each_process() -> None:
    openings = openings_of(PLAN, "tiny", dtype="auto", device="cpu", workers=3)
    assert [opening.device for opening in openings] == ["cpu"] * 3
    with pytest.raises(InputError, match="expected `workers` to be 1 or more, got 0"):
        openings_of(PLAN, "tiny", dtype="auto", device="cpu", workers=0)
