"""A trained surrogate on the page: how much of the scores it explains, of each layer and KV head.

Its class loads models, and is known by name here.
"""

from typing import Any

import numpy as np

from keepmap.drawing.page.values.shown import Shown, table_of, that_needs
from keepmap.errors import counted

__all__ = ["shown_surrogate"]

LEAST = 3
"""Texts that an interval needs."""


def shown_surrogate(trained: Any, folder: str | None) -> Shown:
    """What the page shows of it: the share that is explained, beside the paper's, and where it is least."""
    where = folder or (None if trained.folder is None else str(trained.folder))
    n = trained.n_held_out_texts
    return Shown(
        caption=(
            f"KVzap's {trained.kind} surrogate, trained on {counted(trained.n_texts, 'text')} of "
            f"{counted(trained.n_positions, 'position')}, judged on {counted(n, 'held-out text')}"
        ),
        verdict=_verdict(trained),
        model=trained.model,
        warnings=[f"No interval: {counted(n, 'held-out text')}, and it needs {LEAST}."] * (trained.interval[0] is None),
        python=(
            *that_needs("surrogate", "read_surrogate", where, "keepmap.train_surrogate(model, texts, out=path)"),
            "surrogate.explained",
        ),
        settings={**trained.options, "kind": trained.kind},
        table=_table(trained),
        more=[_paper(trained)],
    )


def _verdict(trained: Any) -> str:
    low, high = trained.interval
    between = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    line = f"It explains {trained.mean:.2f}{between} of the scores' variance on texts that were held out"
    if np.isnan(trained.explained).all():
        return f"{line}."
    layer, head = np.unravel_index(np.nanargmin(trained.explained), trained.explained.shape)
    return f"{line}; least, {trained.explained[layer, head]:.2f}, in layer {layer}, KV head {head}."


def _table(trained: Any) -> dict[str, Any]:
    columns = [
        ("layer", "", "whole"),
        ("KV head", "", "whole"),
        ("explained", "share of the scores' variance; below 0 where the mean would do better", "hundredths"),
    ]
    rows = [
        [layer, head, None if np.isnan(share) else float(share)]
        for (layer, head), share in np.ndenumerate(trained.explained)
    ]
    return table_of("Explained on held-out texts", columns, rows)


def _paper(trained: Any) -> dict[str, Any]:
    columns = [("model", "", "words"), ("explained", "of the same kind of surrogate", "hundredths")]
    rows = [[model, share] for model, share in trained.paper.items()]
    return table_of("What the paper's surrogates explain", columns, rows)
