"""One answer as a row: of which task, sample, question, method and density, what was said, held and kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from keepmap.core.storage.fields import typed

__all__ = ["FULL", "AnswerRow"]

FULL = "full"
"""The key of the full cache, which every method is measured against; its label is "Full cache"."""


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """An answer, and what the cache held when it began.

    Attributes:
        task, sample, question: which one; questions of a sample share its context.
        method, label, density: the method's key, how tables name it, and the density that it was given.
        n_context: tokens that were read. answer, n_new, is_finished: what was said, in how many tokens, and whether it
            ended by itself; `answer` is None where nothing was generated.
        target: the right answer. n_target: its tokens.
        score: RULER's, from 0 to 1; None of texts. Where nothing was generated, the least that it can be.
        exact: whether the answer begins with the right one.
        nll: of the right answer, in nats per token. is_greedy: whether each of its tokens is the likeliest.
        held, footprint, nbytes, peak_nbytes, full_nbytes: as `Memory` has them.
        kept, by_head, ger, ger_by_layer, whole, mass, deaths: as `Retention` has them; None without evidence.
    """

    task: str
    sample: int
    question: int
    method: str
    label: str
    density: float
    n_context: int
    answer: str | None
    n_new: int
    is_finished: bool
    target: str
    n_target: int
    score: float | None
    exact: bool | None
    nll: float
    is_greedy: bool
    held: float
    footprint: float
    nbytes: int
    peak_nbytes: int
    full_nbytes: int
    kept: float | None
    ger: float | None
    ger_by_layer: float | None
    whole: float | None
    mass: float | None
    by_head: tuple[tuple[float, ...], ...] | None
    deaths: tuple[int | None, ...] | None

    @property
    def plain(self) -> dict[str, Any]:
        """The fields that are a value each, as a table has them; of the deaths, how many tokens are gone."""
        row = asdict(self)
        by_head, deaths = row.pop("by_head"), row.pop("deaths")
        del by_head
        return {**row, "tokens_gone": None if deaths is None else sum(death is not None for death in deaths)}

    @classmethod
    def from_json(cls, values: Any) -> "AnswerRow":
        """From what `asdict` gave, read from a file.

        Raises:
            ValueError, TypeError: it is none. KeyError: a field is missing.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"expected the fields of an answer, got {type(values).__name__}")
        known = {field.name: values[field.name] for field in fields(cls)}
        for name in ("answer", "target"):  # of many lines, maybe; they are escaped where they are shown
            if not isinstance(known[name], str) and not (name == "answer" and known[name] is None):
                raise ValueError(f"{name} is no text")
        for name, hint in _HINTS.items():
            known[name] = typed(known[name], hint, name)
        if known["by_head"] is not None:
            known["by_head"] = tuple(
                tuple(typed(share, float, "by_head") for share in heads) for heads in known["by_head"]
            )
        if known["deaths"] is not None:
            known["deaths"] = tuple(typed(death, int | None, "deaths") for death in known["deaths"])
        return cls(**known)


_HINTS: dict[str, Any] = {
    **dict.fromkeys(("task", "method", "label"), str),
    **dict.fromkeys(
        ("sample", "question", "n_context", "n_new", "n_target", "nbytes", "peak_nbytes", "full_nbytes"), int
    ),
    **dict.fromkeys(("density", "nll", "held", "footprint"), float),
    **dict.fromkeys(("is_finished", "is_greedy"), bool),
    **dict.fromkeys(("score", "kept", "ger", "ger_by_layer", "whole", "mass"), float | None),
    "exact": bool | None,
}
