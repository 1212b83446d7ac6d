"""Questions with known answers: tasks, samples, answers under eviction, what was kept of the evidence, verdicts."""

from keepmap.kv.tasks.card import PACKAGES, card_of
from keepmap.kv.tasks.plan import TaskPlan, plan_tasks
from keepmap.kv.tasks.results.files import FILES, read_tasks, write_tasks
from keepmap.kv.tasks.results.rows import FULL, AnswerRow
from keepmap.kv.tasks.results.summary import KEPT, SummaryRow
from keepmap.kv.tasks.results.task_run import TaskRun
from keepmap.kv.tasks.running import ask_all, first_units
from keepmap.kv.tasks.session import TaskSession
from keepmap.kv.tasks.task import Task, tasks

__all__ = [
    "FILES",
    "FULL",
    "KEPT",
    "PACKAGES",
    "AnswerRow",
    "SummaryRow",
    "Task",
    "TaskPlan",
    "TaskRun",
    "TaskSession",
    "ask_all",
    "card_of",
    "first_units",
    "plan_tasks",
    "read_tasks",
    "tasks",
    "write_tasks",
]
