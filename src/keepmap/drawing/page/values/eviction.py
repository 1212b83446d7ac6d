"""An eviction of one text on the page: what was kept of it. Its class loads models, and is known by name here."""

from typing import Any

from keepmap.drawing.page.values.shown import Shown, kept_about, kept_table
from keepmap.errors import counted
from keepmap.kv.token_costs import pieces_of

__all__ = ["shown_eviction"]


def shown_eviction(eviction: Any) -> Shown:
    """What the page shows of an eviction: its text and its one map."""
    keep_map, model = eviction.keep_map, eviction.language_model
    label, about = kept_about(keep_map)
    return Shown(
        caption=f"{model.label}: {counted(len(eviction.input_ids), 'token')} under {label}",
        verdict=(
            f"{label} keeps {keep_map.density():.1%} of the cache's entries, {keep_map.compressible_density():.1%} of "
            f"those that it may drop; while reading it holds {keep_map.footprint():.0%} on average."
        ),
        warnings=()
        if eviction.felt
        else ("Nothing that was dropped would have changed the attention of the last query.",),
        model=model.name,
        python=(
            "eviction = keepmap.evict(model, text, method)",
            "eviction.keep_map.kept()  # [layers, KV heads, positions]",
        ),
        settings=keep_map.info,
        table=kept_table([(label, keep_map)]),
        pieces=pieces_of(model.tokenizer, eviction.input_ids.tolist()),
        keep_maps=[(keep_map, about)],
    )
