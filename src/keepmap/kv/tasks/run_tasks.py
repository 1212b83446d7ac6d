"""Questions with known answers under eviction: `keepmap.run_tasks`, `keepmap.sweep`; nothing is printed or written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepmap.core.arguments import as_function
from keepmap.core.progress import Progress
from keepmap.kv.tasks.card import card_of
from keepmap.kv.tasks.plan import plan_tasks
from keepmap.kv.tasks.results.task_run import TaskRun
from keepmap.kv.tasks.running import ask_all
from keepmap.kv.tasks.session import TaskSession
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["DENSITIES", "WINDOW", "run_tasks", "sweep"]

DENSITIES = (0.1, 0.2, 0.5, 0.75)
WINDOW = 32
"""Last positions that are protected, for all methods: in contexts of a few hundred tokens 128 would be half of them."""


def run_tasks(
    model: "LanguageModel | PreTrainedModel | str | Path",
    tasks: Any = "facts",
    methods: Any = "usual",
    *,
    density: Any = 0.5,
    texts: Any = None,
    n_samples: int = 10,
    length: Any = 250,
    n_sink: int | None = None,
    window: int = WINDOW,
    mode: str | None = None,
    chunk_size: int = 1,
    question: str = "after",
    gate: float = 0.8,
    answers: str = "generated",
    max_new_tokens: int | None = None,
    chat_template: bool = False,
    seed: int = 0,
    haystack: str | Path | None = None,
    qa_file: str | Path | None = None,
    progress: Progress | None = None,
) -> TaskRun:
    """Ask questions whose answers are known, and see what was kept of the evidence and what was answered.

    Every context is read once for each method and density, and a fork of its cache answers each question.

    >>> import keepmap
    >>> run = keepmap.run_tasks("tiny", "facts", "streaming_llm", density=0.2, n_samples=2, length=150)
    >>> run.gates["facts"].score, run.of("facts", "streaming_llm")[0].kept < 1
    (1.0, True)

    Args:
        model: as in `evict`; it needs a tokenizer.
        tasks: names and instances (of tasks of your own, too), or "all". `keepmap.tasks()` has them all.
        methods: as in `compare`. In the modes "decode" and "chunked" "usual" and "all" leave out expected_attention,
            which looks at the whole prefix.
        density: one for all methods, or several; each is under the budget rule, and under the same protection.
        texts: one text or several, whose second half is to be predicted from the first: one more task, "text", of which
            there is a likelihood alone. Each is cut to `length` tokens.
        n_samples: of each task; of a file of questions, so many contexts.
        length: tokens of a sample at most, its question among them and its answer not; of several, samples take turns.
        n_sink, window: how many first and last positions are protected, for all methods.
        mode, chunk_size: as in `evict`; in mode "once" the context is read densely and cut once after it.
        question: "after" the context, which is compressed without knowing it, or "inside" of what is compressed.
        gate: a task counts where the full cache's score is that or more; others are named, and never averaged.
        answers: "generated", greedily, or "teacher_forced": one pass over the right answer, whose score is 1 where
            generating would begin with that, a lower bound.
        max_new_tokens: of an answer; by default those of the right one and eight more.
        chat_template: whether context and question are what a user says in the model's chat template.
        seed: of the samples, and of methods that draw.
        haystack: a text file that needles are hidden in; by default Python's documentation.
        qa_file: a JSON file of questions for the task `qa`.
        progress: called with the share of the work that is done.

    Raises:
        InputError: an option out of range, an unknown task or method, a sample that does not fit into the model, a
            file that holds no questions, or no task that passes the gate.
        ModelError: the model is not supported, or has no surrogate for a method.
    """
    plan = plan_tasks(
        tasks,
        methods,
        density,
        texts=texts,
        n_samples=n_samples,
        length=length,
        n_sink=n_sink,
        window=window,
        mode=mode,
        chunk_size=chunk_size,
        question=question,
        gate=gate,
        answers=answers,
        max_new_tokens=max_new_tokens,
        chat_template=chat_template,
        seed=seed,
        haystack=haystack,
        qa_file=qa_file,
    )
    progress = as_function("progress", progress)
    session = TaskSession(plan, as_language_model(model))
    return ask_all(session, card_of(session), progress=progress)


def sweep(
    model: "LanguageModel | PreTrainedModel | str | Path",
    tasks: Any = "facts",
    methods: Any = "usual",
    *,
    density: Any = DENSITIES,
    **options: Any,
) -> TaskRun:
    """Ask at several densities: fronts of accuracy against memory, critical footprints, and verdicts on all pairs.

    >>> import keepmap
    >>> texts = ["The sky is blue. " * 20]
    >>> run = keepmap.sweep(
    ...     "tiny", "facts", "streaming_llm", density=(0.2, 0.6), texts=texts, n_samples=3, length=150
    ... )
    >>> run.tasks, run.critical("facts", "streaming_llm").share
    (('facts', 'text'), 0.9)

    Args:
        density: of several, from the smallest to the largest.
        options: as in `run_tasks`.

    Returns:
        A `TaskRun`: its `front`, `critical` and `verdicts` say it for each task.

    Raises:
        InputError, ModelError: as `run_tasks`.
    """
    return run_tasks(model, tasks, methods, density=density, **options)
