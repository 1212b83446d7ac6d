"""An eviction of one text on the page, or its KeepMap alone. An Eviction loads models, and is known by name here."""

from typing import Any

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.values.shown import Shown, kept_about, kept_table, that_needs
from keepmap.errors import counted
from keepmap.kv.token_costs import pieces_of

__all__ = ["shown_eviction", "shown_keep_map"]


def shown_eviction(eviction: Any) -> Shown:
    """What the page shows of an eviction: its text and its one map."""
    keep_map, model = eviction.keep_map, eviction.language_model
    label, about = kept_about(keep_map)
    return Shown(
        caption=f"{model.label}: {counted(len(eviction.input_ids), 'token')} under {label}",
        verdict=_verdict(label, keep_map),
        warnings=()
        if eviction.felt
        else ("Nothing that was dropped would have changed the attention of the last query.",),
        model=model.name,
        python=(
            "# Needs `eviction`, which was in memory alone when this page was written.",
            "# Its KeepMap can be written, eviction.keep_map.save(path), and read again: keepmap.KeepMap.load(path)",
            "eviction.keep_map.kept()  # [layers, KV heads, positions]",
        ),
        settings=keep_map.info,
        table=kept_table([(label, keep_map)]),
        pieces=pieces_of(model.tokenizer, eviction.input_ids.tolist()),
        keep_maps=[(keep_map, about)],
    )


def shown_keep_map(keep_map: KeepMap, folder: str | None) -> Shown:
    """What the page shows of a KeepMap by itself: it knows of no text."""
    label, about = kept_about(keep_map)
    model = str(keep_map.info.get("model", ""))
    return Shown(
        caption=f"{model or 'a cache'}: {counted(keep_map.shape[2], 'position')} under {label}",
        verdict=_verdict(label, keep_map),
        model=model,
        python=(
            *that_needs("keep_map", "KeepMap.load", folder, "keep_map.save(path)"),
            "keep_map.kept()  # [layers, KV heads, positions]",
        ),
        settings=keep_map.info,
        table=kept_table([(label, keep_map)]),
        keep_maps=[(keep_map, about)],
    )


def _verdict(label: str, keep_map: KeepMap) -> str:
    return (
        f"{label} keeps {keep_map.density():.1%} of the cache's entries, {keep_map.compressible_density():.1%} of "
        f"those that it may drop; while reading it holds {keep_map.footprint():.0%} on average."
    )
