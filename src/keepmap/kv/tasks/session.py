"""A run of tasks that has its model: samples as prompts, a fresh cache of each method, and the answers to a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from keepmap.errors import ModelError
from keepmap.kv.eviction.resolve import as_method
from keepmap.kv.method import Method
from keepmap.kv.tasks.asking.answer import Answer, answers_of
from keepmap.kv.tasks.asking.prompts import Asked, Prompt, Prompts
from keepmap.kv.tasks.asking.scoring import is_exact, ruler_score
from keepmap.kv.tasks.making.lengths import sample_of_length
from keepmap.kv.tasks.plan import TaskPlan
from keepmap.kv.tasks.results.rows import FULL, AnswerRow
from keepmap.kv.tasks.task import Task, TaskSample
from keepmap.language_model import LanguageModel, load_language_model, quiet_transformers

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache

__all__ = ["TaskSession", "Way", "open_session"]


@dataclass(frozen=True)
class Way:
    """A method at a density; the full cache is one, too. `label` is how tables name the method."""

    key: str
    label: str
    density: float


@dataclass(frozen=True, eq=False)
class TaskSession:
    """The plan and the model. Everything is made when it is first asked for.

    Attributes:
        full: the full cache as a way.

    Raises:
        InputError: a method that the mode refuses, no chat template, a tokenizer that cannot do it.
        ModelError: the model is not supported, or has no surrogate for a method.
    """

    plan: TaskPlan
    language_model: LanguageModel
    full: Way = field(default=Way(FULL, "Full cache", 1.0), init=False)

    def __post_init__(self) -> None:
        assert self.caches and self.prompts_of

    @property
    def ways(self) -> tuple[Way, ...]:
        """Every method at every density."""
        return tuple(way for way in self.caches if way.key != FULL)

    @cached_property
    def caches(self) -> "dict[Way, EvictingCache]":
        """A cache of each way that has seen nothing."""
        methods = self._methods
        named = ((each, density) for density in self.plan.densities for each in self.plan.methods[density])
        ways = [self.full, *(Way(each.key, each.label, density) for each, density in named if each.key in methods)]
        return {way: self._cache(way) for way in ways}

    def _cache(self, way: Way) -> "EvictingCache":
        """A cache that has seen nothing."""
        from keepmap.kv.cache.cache import EvictingCache  # loads transformers

        if way == self.full:
            return EvictingCache(self.language_model, "baseline")
        plan = self.plan
        (each,) = (each for each in plan.methods[way.density] if each.key == way.key)
        return EvictingCache(
            self.language_model,
            self._methods[way.key],
            density=way.density,
            n_sink=each.n_sink,
            window=each.window,
            mode=plan.mode.name,
            chunk_size=plan.mode.chunk_size,
            seed=plan.seed,
        )

    @cached_property
    def _methods(self) -> dict[str, Method]:
        """Every method by its key; who asked for a group did not ask for a surrogate that may not exist."""
        methods: dict[str, Method] = {}
        for each in self.plan.methods[self.plan.densities[0]]:
            try:
                methods[each.key] = as_method(each.instance or each.key, self.language_model)
            except ModelError:
                if not self.plan.is_group:
                    raise
        return methods

    @property
    def left_out(self) -> tuple[str, ...]:
        """Methods of a group that are not run, and why."""
        named = (each.key for each in self.plan.methods[self.plan.densities[0]])
        missing = (f"{key} (no surrogate is known for this model)" for key in named if key not in self._methods)
        return (*self.plan.left_out, *missing)

    @cached_property
    def prompts_of(self) -> Prompts:
        """What turns samples into tokens; texts need no more than a tokenizer, and go this way, too."""
        return Prompts(self.language_model, chat_template=self.plan.chat_template, inside=self.plan.place == "inside")

    def samples(self, task: Task) -> int:
        """How many samples of a task there are."""
        fixed = task.fixed()
        return self.plan.n_samples if fixed is None else min(self.plan.n_samples, len(fixed))

    def prompts(self, task: Task, sample: int) -> list[Prompt]:
        """A sample as tokens: one prompt, or with questions inside several.

        Raises:
            InputError: it does not fit into the model, or its evidence is not in its context.
        """
        plan = self.plan
        fixed = task.fixed()
        length = plan.lengths[sample % len(plan.lengths)]
        if fixed is None:
            name = f"sample {sample} of {task.name}"
            of_length = sample_of_length(task, plan.seed, sample, length, self.prompts_of.length, plan.haystack)
            return self._prompts(task, of_length, name)
        if task.scoring is None:
            return [self.prompts_of.text(fixed[sample].context, f"text {sample}", length)]
        return self._prompts(task, fixed[sample], fixed[sample].name or f"sample {sample} of {task.name}")

    def _prompts(self, task: Task, sample: TaskSample, name: str) -> list[Prompt]:
        return self.prompts_of.prompts(sample, name, self.plan.max_new_tokens or 0, task.in_turns)

    def answers(self, task: Task, sample: int, ways: Sequence[Way]) -> list[AnswerRow]:
        """What is answered to all questions of a sample, of one way after the other.

        Raises:
            KeepmapError: as `prompts`, or what a pass of the model raises.
        """
        rows: dict[Way, list[AnswerRow]] = {way: [] for way in ways}
        generates = self.plan.generates and task.scoring is not None
        for prompt in self.prompts(task, sample):
            several = answers_of([self.caches[way] for way in ways], prompt, self.plan.max_new_tokens, generates)
            for query, answers in zip(prompt.queries, several, strict=True):
                for way, answer in zip(ways, answers, strict=True):
                    rows[way].append(_row(task, sample, len(rows[way]), way, prompt, query, answer))
        return [row for way in ways for row in rows[way]]


def open_session(plan: TaskPlan, model_name: str, *, dtype: str, device: str) -> TaskSession:
    """A session of a process that was begun for it, without what transformers would print.

    Raises:
        InputError, ModelError: as `TaskSession`, or the model cannot be loaded.
    """
    quiet_transformers()
    return TaskSession(plan, load_language_model(model_name, device=device, dtype=dtype))


def _row(task: Task, sample: int, question: int, way: Way, prompt: Prompt, query: Asked, answer: Answer) -> AnswerRow:
    retention, memory = answer.retention, answer.memory
    score, exact, target = None, None, ""
    if query.question is not None and task.scoring is not None:
        target = query.question.target
        exact = answer.is_greedy if answer.text is None else is_exact(answer.text, target)
        score = float(answer.is_greedy)
        if answer.text is not None:
            score = ruler_score(answer.text, query.question.answers, task.scoring)
    return AnswerRow(
        task=task.name,
        sample=sample,
        question=question,
        method=way.key,
        label=way.label,
        density=way.density,
        n_context=len(prompt.context),
        answer=answer.text,
        n_new=answer.n_new,
        is_finished=answer.is_finished,
        target=target,
        n_target=answer.n_target,
        score=score,
        exact=exact,
        nll=answer.nll,
        is_greedy=answer.is_greedy,
        held=memory.held,
        footprint=memory.footprint,
        nbytes=memory.nbytes,
        peak_nbytes=memory.peak_nbytes,
        full_nbytes=memory.full_nbytes,
        kept=None if retention is None else retention.kept,
        ger=None if retention is None else retention.ger,
        ger_by_layer=None if retention is None else retention.ger_by_layer,
        whole=None if retention is None else retention.whole,
        mass=None if retention is None else retention.mass,
        by_head=None if retention is None else retention.by_head,
        deaths=None if retention is None else retention.deaths,
    )
