"""A comparison on the page: a sentence, rows, settings, the first text and what each method kept of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keepmap.core.files import plain
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays, packed_floats
from keepmap.drawing.page.maps import most_held
from keepmap.drawing.page.values.shown import Shown, table_of, that_needs
from keepmap.errors import counted
from keepmap.kv.comparison import Comparison

__all__ = ["shown_comparison", "verdict_of", "warnings_of"]

FULL = "baseline_no_chunking"
BASELINE = "baseline"
LEAST = 3
"""Samples that an interval needs."""
COLUMNS = (
    ("method", "method", "", "words"),
    ("nll_delta", "ΔNLL", "nats per token more than with the full cache; less is better", "cost"),
    ("interval", "95 % interval", "of ΔNLL, paired over samples", "interval"),
    ("kl", "KL", "of the full cache's predictions to these, nats per token", "number"),
    ("top1_agreement", "top-1", "share of tokens for which both predict the same next one", "share"),
    ("perplexity", "PPL", "exp of the NLL", "number"),
    ("density_overall", "kept", "cache entries kept at the end, of all", "share"),
    ("density_compressible", "kept, compressible", "the same without sinks and window", "share"),
    ("footprint", "footprint", "cache entries held on average while reading, of all", "bar"),
    ("peak", "peak, first text", "most entries held at once in the first text, of all its entries", "share"),
)
"""Of a row its value's name, the title, what that means, and how it is written."""
MOST_TEXTS = 24
"""Texts that have a picture of their own."""


def shown_comparison(comparison: Comparison, arrays: Arrays, folder: str | None) -> Shown:
    """What the page shows of a comparison."""
    keep_maps = {key: comparison.keep_maps[key] for key in comparison.keep_maps}
    rows = {row.method_key: row for row in comparison.methods}
    n = next((keep_map.shape[2] for keep_map in keep_maps.values()), 0)
    compared = _rows(comparison, keep_maps)
    return Shown(
        caption=comparison.caption,
        verdict=verdict_of(comparison),
        warnings=[*warnings_of(comparison), *_without_maps(comparison)],
        model=str(comparison.configuration.get("model_name", "")),
        python=_python(comparison, folder),
        settings=comparison.configuration,
        rows=compared,
        table=_table(compared),
        pieces=_pieces(comparison, n),
        keep_maps=[
            (
                keep_map,
                {
                    "key": key,
                    "label": rows[key].method,
                    "density": rows[key].density,
                    "nll": _costs(comparison, key, n, keep_map.context_length or 1, arrays),
                },
            )
            for key, keep_map in keep_maps.items()
        ],
        parts={"texts": _texts(comparison)} if comparison.baseline.n_samples > 1 and rows else {},
    )


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


def _without_maps(comparison: Comparison) -> list[str]:
    """Whose entries cannot be shown, since their file is gone."""
    there = set(comparison.keep_maps)
    gone = [row.method for row in comparison.methods if row.method_key not in there]
    files = "its KeepMap is" if len(gone) == 1 else "their KeepMaps are"
    return [f"{', '.join(gone)}: {files} not there, and no view of entries shows what was kept."] * bool(gone)


def _rows(comparison: Comparison, keep_maps: Mapping[str, KeepMap]) -> list[dict[str, Any]]:
    peaks = {key: most_held(keep_map) for key, keep_map in keep_maps.items()}
    peaks |= dict.fromkeys((FULL, BASELINE), 1.0) if peaks else {}
    rows: list[dict[str, Any]] = plain(comparison.rows)
    return [{**row, "peak": peaks.get(row["method_key"])} for row in rows]


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the summary shows of them; a column that no row has a value of is not there."""
    known = {name for name, *_ in COLUMNS if name == "interval" or any(row.get(name) is not None for row in rows)}
    columns = [column for column in COLUMNS if column[0] in known]
    return table_of(
        "Results, means over all texts",
        [column[1:] for column in columns],
        [
            [[row["nll_delta_low"], row["nll_delta_high"]] if name == "interval" else row[name] for name, *_ in columns]
            for row in rows
        ],
    )


def _pieces(comparison: Comparison, n: int) -> tuple[str, ...]:
    """The text of the tokens, where it was saved and is of the maps' text."""
    costs = comparison.token_costs.get(FULL)
    return costs.pieces if costs is not None and len(costs.pieces) == n else ()


def _texts(comparison: Comparison) -> dict[str, Any]:
    """What each method cost and held on each of the first texts, beside the full cache."""
    full = {sample.sample: sample for sample in comparison.samples if sample.method == BASELINE}
    shown = sorted(full)[:MOST_TEXTS]
    return {
        "names": [f"line {full[sample].line}, {full[sample].n_tokens:,} tokens" for sample in shown],
        "of": len(full),
        "points": [
            {
                "text": shown.index(sample.sample),
                "method_key": sample.method,
                "nll_delta": (sample.nll - full[sample.sample].nll) / sample.n_predicted,
                "kl": sample.kl / sample.n_predicted,
                "footprint": sample.footprint,
            }
            for sample in comparison.samples
            if sample.sample in shown and sample.method not in (FULL, BASELINE)
        ],
    }


def _costs(comparison: Comparison, key: str, n: int, context: int, arrays: Arrays) -> dict[str, Any] | None:
    """What each token costs more than under the full cache, where those after a context of so many were predicted."""
    costs, full = comparison.token_costs.get(key), comparison.token_costs.get(BASELINE)
    if costs is None or full is None or not len(costs.nll) == len(full.nll) == n - context:
        return None
    # Of a context nothing is predicted, and nothing is lost.
    packed, about = packed_floats(np.pad(costs.nll - full.nll, (context - 1, 0)))
    return {"id": arrays.add(packed), **about}


def _python(comparison: Comparison, folder: str | None) -> list[str]:
    """How to have these values in Python."""
    needed = that_needs("comparison", "read_comparison", folder, "`keepmap compare`")
    first = next(iter(comparison.keep_maps), None)
    look = [f"keep_map = comparison.keep_maps[{first!r}]", "keep_map.kept()  # [layers, KV heads, positions]"]
    return [*needed, *(look if first else [])]
