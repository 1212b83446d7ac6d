"""A comparison as the page's document: a sentence, rows, settings, the first text and what each method kept of it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keepmap.core.files import plain
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays, packed_floats, packed_numbers
from keepmap.drawing.page.kinds import KINDS, kind_of_token
from keepmap.drawing.page.maps import PackedMap, most_held, packed_map
from keepmap.drawing.page.spans import Span
from keepmap.errors import counted
from keepmap.kv.comparison import Comparison

__all__ = ["ReportedRun", "run_document", "verdict_of", "warnings_of"]

FULL = "baseline_no_chunking"
BASELINE = "baseline"
LEAST = 3
"""Samples that an interval needs."""


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A comparison, and where it comes from.

    Attributes:
        name: what the page calls it: its folder.
        folder: that it can be read from again; None where it is in memory alone.
        command: the words that repeat it; none where it was called from Python.
    """

    comparison: Comparison
    name: str = "comparison"
    folder: str | None = None
    command: tuple[str, ...] = ()

    @classmethod
    def of_folder(cls, comparison: Comparison, folder: Path, command: tuple[str, ...]) -> "ReportedRun":
        """A comparison whose results are in a folder."""
        return cls(comparison=comparison, name=folder.resolve().name, folder=str(folder), command=command)


def run_document(
    run: ReportedRun, arrays: Arrays, spans: Sequence[Span], redact_text: bool
) -> tuple[dict[str, Any], list[PackedMap]]:
    """What the page says of one run but its maps, and these packed, of which the first text's tokens are the axis."""
    comparison = run.comparison
    keep_maps = {key: comparison.keep_maps[key] for key in comparison.keep_maps}
    labels = {row.method_key: row.method for row in comparison.methods}
    n = next((keep_map.shape[2] for keep_map in keep_maps.values()), 0)
    pieces = _pieces(comparison, n)
    document = {
        "name": run.name,
        "model": str(comparison.configuration.get("model_name", "")),
        "caption": comparison.caption,
        "verdict": verdict_of(comparison),
        "warnings": warnings_of(comparison),
        "rows": _rows(comparison, keep_maps),
        "settings": [[name, _in_words(value)] for name, value in comparison.configuration.items() if value is not None],
        "command": shlex.join(["keepmap", *run.command[1:]]) if run.command else None,
        "python": _python(run),
        "text": _text(pieces, arrays, redact_text) if pieces else None,
        "spans": [
            {"name": span.name, "start": place[0], "end": place[1]}
            for span in spans
            if pieces and (place := span.place(pieces)) is not None
        ],
    }
    densities = {row.method_key: row.density for row in comparison.methods}
    maps = [
        packed_map(
            keep_map,
            {
                "key": key,
                "label": labels[key],
                "density": densities[key],
                "nll": _costs(comparison, key, n, keep_map.context_length or 1, arrays),
            },
        )
        for key, keep_map in keep_maps.items()
    ]
    return document, maps


def verdict_of(comparison: Comparison) -> str:
    """The answer in a sentence: what costs least, how much, and what it holds; or that this cannot be said."""
    rows = comparison.methods
    if not rows:
        return f"No method beside the full cache, whose NLL is {comparison.baseline.avg_nll:.4f} nats per token."
    if not comparison.rankable:
        held = [row.footprint for row in rows]
        return (
            f"These {len(rows)} methods cannot be ranked by cost: they hold {min(held):.0%} to {max(held):.0%} of the "
            "cache on average."
        )
    best = rows[0]
    between = (
        ""
        if best.nll_delta_low is None
        else f" (95 % interval {best.nll_delta_low:+.3f} to {best.nll_delta_high:+.3f})"
    )
    others = f"; {rows[-1].method} costs most, {rows[-1].nll_delta:+.3f}" if len(rows) > 1 else ""
    return (
        f"{best.method} costs least: {best.nll_delta:+.3f} nats per token{between} against the full cache, "
        f"while it holds {best.footprint:.0%} of it{others}."
    )


def warnings_of(comparison: Comparison) -> list[str]:
    """What a reader should know before the numbers."""
    configuration, rows = comparison.configuration, comparison.methods
    warnings = []
    if not comparison.complete:
        warnings.append("Stopped before its end: these are the texts that every method is done with.")
    if not comparison.rankable:
        warnings.append(
            "Not ranked: methods hold different shares (by more than a tenth), so that their costs cannot rank them."
        )
    if comparison.baseline.n_samples < LEAST:
        warnings.append(f"No intervals: {counted(comparison.baseline.n_samples, 'text')}, and they need {LEAST}.")
    elif comparison.rankable and len(rows) > 1:
        warnings += _uncertain(comparison)
    idle = [row.method for row in rows if row.density_compressible == 1.0]
    if idle:
        warnings.append(f"Nothing was evicted by {', '.join(idle)}.")
    warnings += [f"Left out: {reason}" for reason in configuration.get("left_out") or ()]
    skipped = configuration.get("skipped") or ()
    if skipped:
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        warnings.append(f"Skipped: {'; '.join(map(str, skipped[:3]))}{more}.")
    return warnings


def _uncertain(comparison: Comparison) -> list[str]:
    """Which methods the best one is not surely better than, by the verdicts that the console prints."""
    verdicts = comparison.verdicts()
    best, *others = verdicts.methods
    near = [other for other in others if verdicts.of(best, other).outcome != "beats"]
    if not near:
        return []
    return [f"{best} is not surely better than {', '.join(near)}, paired over texts: their order is not certain."]


def _rows(comparison: Comparison, keep_maps: Mapping[str, KeepMap]) -> list[dict[str, Any]]:
    peaks = {key: most_held(keep_map) for key, keep_map in keep_maps.items()}
    peaks |= dict.fromkeys((FULL, BASELINE), 1.0) if peaks else {}
    rows: list[dict[str, Any]] = plain(comparison.rows)
    return [{**row, "peak": peaks.get(row["method_key"])} for row in rows]


def _pieces(comparison: Comparison, n: int) -> tuple[str, ...]:
    """The text of the tokens, where it was saved and is of the maps' text."""
    costs = comparison.token_costs.get(FULL)
    return costs.pieces if costs is not None and len(costs.pieces) == n else ()


def _text(pieces: Sequence[str], arrays: Arrays, redact_text: bool) -> dict[str, Any]:
    kinds = [kind_of_token(piece) for piece in pieces]
    shown = [f"⟨{kind}⟩" for kind in kinds] if redact_text else pieces
    # What is half of a letter in UTF-16 has no UTF-8: the page shows a sign in its place.
    shown = ["".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in piece) for piece in shown]
    lengths, about = packed_numbers(np.array([len(piece.encode("utf-16-le")) // 2 for piece in shown]))
    number, kinds_about = packed_numbers(np.array([KINDS.index(kind) for kind in kinds]))
    return {
        "letters": arrays.add_text("".join(shown)),
        "lengths": {"id": arrays.add(lengths), **about},
        "kinds": {"id": arrays.add(number), **kinds_about},
        "kind_names": list(KINDS),
    }


def _costs(comparison: Comparison, key: str, n: int, context: int, arrays: Arrays) -> dict[str, Any] | None:
    """What each token costs more than under the full cache, where those after a context of so many were predicted."""
    costs, full = comparison.token_costs.get(key), comparison.token_costs.get(BASELINE)
    if costs is None or full is None or not len(costs.nll) == len(full.nll) == n - context:
        return None
    # Of a context nothing is predicted, and nothing is lost.
    packed, about = packed_floats(np.pad(costs.nll - full.nll, (context - 1, 0)))
    return {"id": arrays.add(packed), **about}


def _in_words(value: Any) -> str:
    """A setting in words; what is the same for every method is said once."""
    if isinstance(value, Mapping):
        different = {json.dumps(item) for item in value.values()}
        if len(different) == 1:
            return _in_words(next(iter(value.values())))
        return ", ".join(f"{name} {_in_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _python(run: ReportedRun) -> str:
    """How to have these values in Python."""
    if run.folder is not None:
        call = f"comparison = keepmap.read_comparison({run.folder!r})"
    else:
        configuration = run.comparison.configuration
        density = {row.density for row in run.comparison.methods}
        options = [f"density={density.pop()}"] if len(density) == 1 and None not in density else []
        options += [f"seed={configuration['seed']}", f"chunk_size={configuration['chunk_size']}"]
        methods = [row.method_key for row in run.comparison.methods]
        call = (
            f"comparison = keepmap.compare({configuration['model_name']!r}, texts, {methods!r}, {', '.join(options)})"
        )
    first = next(iter(run.comparison.keep_maps), None)
    look = [f"keep_map = comparison.keep_maps[{first!r}]", "keep_map.kept()  # [layers, KV heads, positions]"]
    return "\n".join(["import keepmap", "", call, *(look if first else [])])
