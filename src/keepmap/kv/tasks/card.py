"""The protocol card: everything that decides a number of a run of tasks, as JSON, and the command that repeats it."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from keepmap.core.files import plain
from keepmap.core.runs.hashes import hash_of_lines, hash_of_tensors
from keepmap.core.versions import versions
from keepmap.kv.tasks.asking.answer import ROOM
from keepmap.kv.tasks.session import TaskSession
from keepmap.kv.tasks.task import Task

__all__ = ["PACKAGES", "card_of"]

PACKAGES = ("torch", "transformers", "numpy")
"""What takes part in an answer, beside keepmap and Python."""


def card_of(session: TaskSession, command: Sequence[str] = ()) -> dict[str, Any]:
    """The card of a run.

    Args:
        command: the words that repeat it, none where it was called from Python.
    """
    plan, language_model = session.plan, session.language_model
    by_key = {plan_of.key: plan_of for plans in plan.methods.values() for plan_of in plans}
    tokenizer = language_model.tokenizer
    assert tokenizer is not None
    begin = getattr(tokenizer, "bos_token", None)
    is_begun = not plan.chat_template and begin is not None and tokenizer.bos_token_id in tokenizer("a")["input_ids"]
    card = {
        "model": language_model.name,
        "weights": hash_of_tensors(language_model.model.state_dict()),
        "dtype": str(language_model.dtype).removeprefix("torch."),
        "tasks": [
            {
                "name": task.name,
                "options": _options(task),
                "scoring": task.scoring,
                "new_tokens_in_ruler": task.new_tokens,
                "samples": session.samples(task),
                "first_prompt": hash_of_lines([prompt.context.tolist() for prompt in session.prompts(task, 0)]),
            }
            for task in plan.tasks
        ],
        "haystack": plan.haystack.name,
        "lengths": list(plan.lengths),
        "n_samples": plan.n_samples,
        "methods": [{"name": key, "n_sink": each.n_sink, "window": each.window} for key, each in by_key.items()],
        "left_out": list(session.left_out),
        "densities": list(plan.densities),
        "mode": plan.mode.name,
        "chunk_size": plan.mode.chunk_size,
        "question": plan.place,
        "order": "context, question, beginning of the answer; each tokenised apart from the context",
        "chat_template": plan.chat_template,
        "begins_with": begin if is_begun else None,
        "answers": "generated, greedy" if plan.generates else "teacher-forced: scores are lower bounds",
        "max_new_tokens": plan.max_new_tokens or f"those of the right answer and {ROOM} more",
        "gate": plan.gate,
        "seed": plan.seed,
        "versions": versions(*PACKAGES),
        "command": list(command),
    }
    plain_card: dict[str, Any] = plain(card)
    return plain_card


def _options(task: Task) -> dict[str, object]:
    """What a task is made with; texts are known by their hash."""
    names: list[str] = [option.name for option in fields(task)] if is_dataclass(task) else []
    return {name: getattr(task, name) for name in names if name != "texts"}
