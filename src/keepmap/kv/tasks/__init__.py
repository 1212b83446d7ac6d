"""Questions with known answers: tasks, samples, answers under eviction, what was kept of the evidence, verdicts."""

from keepmap.kv.tasks.card import PACKAGES, card_of
from keepmap.kv.tasks.plan import TaskPlan, plan_tasks
from keepmap.kv.tasks.results.files import FILES, read_tasks, write_tasks
from keepmap.kv.tasks.results.rows import FULL, AnswerRow
from keepmap.kv.tasks.results.summary import KEPT, SummaryRow
from keepmap.kv.tasks.results.task_run import TaskRun
from keepmap.kv.tasks.running import Unit, ask_all, first_units
from keepmap.kv.tasks.session import TaskSession
from keepmap.kv.tasks.task import Task, tasks
from keepmap.kv.tasks.workers import Opening, by_workers, openings_of

__all__ = [
    "FILES",
    "FULL",
    "KEPT",
    "PACKAGES",
    "AnswerRow",
    "Opening",
    "SummaryRow",
    "Task",
    "TaskPlan",
    "TaskRun",
    "TaskSession",
    "Unit",
    "ask_all",
    "by_workers",
    "card_of",
    "first_units",
    "openings_of",
    "plan_tasks",
    "read_tasks",
    "tasks",
    "write_tasks",
]
