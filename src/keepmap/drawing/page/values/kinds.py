"""Every kind of value that has a page, and what makes it one: one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.values.agents import shown_context, shown_evaluation, shown_study
from keepmap.drawing.page.values.attention import shown_profile
from keepmap.drawing.page.values.comparison import shown_comparison
from keepmap.drawing.page.values.eviction import shown_eviction, shown_keep_map
from keepmap.drawing.page.values.families import shown_family
from keepmap.drawing.page.values.generation import shown_generation
from keepmap.drawing.page.values.shown import Shown
from keepmap.drawing.page.values.suggestion import shown_suggestion
from keepmap.drawing.page.values.surrogate import shown_surrogate
from keepmap.drawing.page.values.tasks import shown_tasks
from keepmap.drawing.page.values.verification import shown_verification
from keepmap.errors import InputError, kind_of

__all__ = ["Asked", "Reportable", "kind_of_value", "shown_value"]

Reportable: TypeAlias = Any
"""A value of a class in `KINDS`: some of them load models, and are known by name here."""

KINDS = {
    "AttentionProfile": "attention",
    "Comparison": "comparison",
    "CompressorSuggestion": "suggestion",
    "Context": "history",
    "Evaluation": "evaluation",
    "Eviction": "eviction",
    "FamilyStudy": "family",
    "Generation": "generation",
    "KeepMap": "keep_map",
    "MethodSuggestion": "suggestion",
    "Study": "study",
    "TaskRun": "tasks",
    "TrainedSurrogate": "surrogate",
    "Verification": "verification",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of a page for one value beside the value.

    Attributes:
        folder: where its files are, if anywhere.
        redact_text: whether no text of it is shown.
        evicted: of a profile's context, what methods kept of it, by label; shown as maps, too.
        elsewhere: the same, from other runs of the page, which show their maps themselves.
        length: of the compressors of a history.
    """

    folder: str | None = None
    redact_text: bool = False
    evicted: Mapping[str, KeepMap] = field(default_factory=dict)
    elsewhere: Mapping[str, KeepMap] = field(default_factory=dict)
    length: int | None = None


def kind_of_value(value: Reportable) -> str:
    """What kind of value it is, in a word.

    Raises:
        InputError: none that a page shows.
    """
    kind = KINDS.get(type(value).__name__) if type(value).__module__.startswith("keepmap.") else None
    if kind is None:
        raise InputError(f"expected a value that has a page, {', '.join(KINDS)}; got {kind_of(value)}")
    return kind


def shown_value(value: Reportable, arrays: Arrays, options: Asked) -> Shown:
    """What the page shows of a value."""
    folder = options.folder
    shown: dict[str, Callable[[], Shown]] = {
        "attention": lambda: shown_profile(value, arrays, folder, options.evicted, options.elsewhere),
        "comparison": lambda: shown_comparison(value, arrays, folder),
        "history": lambda: shown_context(value, options.length or max(1, int(value.history.valid.sum()) // 5)),
        "evaluation": lambda: shown_evaluation(value, arrays, folder),
        "eviction": lambda: shown_eviction(value),
        "family": lambda: shown_family(value, folder),
        "generation": lambda: shown_generation(value, folder, options.redact_text),
        "keep_map": lambda: shown_keep_map(value, folder),
        "study": lambda: shown_study(value, folder),
        "suggestion": lambda: shown_suggestion(value),
        "surrogate": lambda: shown_surrogate(value, folder),
        "tasks": lambda: shown_tasks(value, arrays, folder, options.redact_text),
        "verification": lambda: shown_verification(value, folder),
    }
    return shown[kind_of_value(value)]()
