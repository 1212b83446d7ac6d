"""A generation on the page: what the model said, beside what it says with the full cache; bytes over time; the map.

Its class loads models, and is known by name here.
"""

from typing import Any

from keepmap.core.labels import model_label
from keepmap.core.outside.memory import size_text
from keepmap.drawing.page.values.shown import Shown, kept_about, redacted, table_of, that_needs
from keepmap.errors import counted

__all__ = ["shown_generation"]


def shown_generation(generation: Any, folder: str | None, redact_text: bool) -> Shown:
    """What the page shows of a generation; redacted, of its answers only how long they are."""
    keep_map, report = generation.keep_map, generation.cache
    _, about = kept_about(keep_map)
    question = f", {generation.n_question:,} of them the question" if generation.n_question else ""
    return Shown(
        caption=(
            f"{model_label(keep_map.info.get('model'))}: {counted(generation.n_prompt, 'token')} read{question}; "
            f"{len(generation.answer.tokens):,} new"
        ),
        verdict=_verdict(generation),
        warnings=[] if report.note is None else [report.note],
        model=str(keep_map.info.get("model", "")),
        python=(*that_needs("generation", "read_generation", folder, "`keepmap generate`"), "generation.text"),
        settings=generation.options,
        table=_table(generation),
        keep_maps=[(keep_map, about)],
        parts={
            "generation": {
                "label": generation.label,
                "divergence": generation.divergence,
                "answer": _answer(generation.answer, redact_text),
                "full": None if generation.full is None else _answer(generation.full, redact_text),
                "redacted": redact_text,
                "moments": [[moment.tokens, moment.nbytes, moment.full_nbytes] for moment in report.moments],
            }
        },
    )


def _verdict(generation: Any) -> str:
    report = generation.cache
    held = f"the cache is {size_text(report.nbytes)} at the end in place of {size_text(report.full_nbytes)}"
    if generation.full is None:
        return f"{generation.label}: {held}."
    if generation.divergence is None:
        return f"{generation.label} says what the full cache says, {len(generation.answer.tokens):,} tokens; {held}."
    return (
        f"{generation.label} departs from the full cache at new token {generation.divergence:,}, counted from 0, "
        f"of {len(generation.full.tokens):,}; {held}."
    )


def _table(generation: Any) -> dict[str, Any]:
    report = generation.cache
    rows: list[list[object]] = [
        [generation.label, len(generation.answer.tokens), generation.answer.rate, report.nbytes, report.peak_nbytes]
    ]
    if (full := generation.full) is not None:
        rows.append(["the full cache", len(full.tokens), full.rate, report.full_nbytes, None])
    columns = [
        ("cache", "", "words"),
        ("new tokens", "", "whole"),
        ("tokens per second", "after the first; no part of what is the same on every run", "number"),
        ("bytes at the end", "of keys, values and bookkeeping", "whole"),
        ("bytes at the peak", "with the keys that a pass brings", "whole"),
    ]
    return table_of("What was said and held", columns, rows)


def _answer(answer: Any, redact_text: bool) -> dict[str, Any]:
    return {"text": redacted(answer.text) if redact_text else answer.text, "n": len(answer.tokens)}
