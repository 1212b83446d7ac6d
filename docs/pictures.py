"""The pictures of docs/concepts.md, drawn from what the embedded model's cache does.

python docs/pictures.py [FOLDER]    by default docs/images
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import keepmap
from keepmap.kv.data.sample import sample_texts

IMAGES = Path(__file__).resolve().parent / "images"
SHORT = "The code of river is 4821. The code of stone is 77. The code of lamp is 3190. What is the code of stone?"
FUTURE, EVICTED, KEPT, PROTECTED = range(4)
COLOURS = ("#FFFFFF", "#C23B0A", "#4BD5A7", "#0072B2")
WORDS = {PROTECTED: "protected: a sink, or in the window", KEPT: "kept, not protected", EVICTED: "evicted"}
MODES: dict[str, dict[str, Any]] = {"decode": {}, "chunked": {"chunk_size": 8}, "once": {"context_length": 32}}
RULES: dict[str, dict[str, Any]] = {
    "budget: density 0.2": {"density": 0.2},
    "budget: density 0.5": {"density": 0.5},
    "threshold 0.004": {"threshold": 0.004},
}


def evicted(mode: str = "decode") -> keepmap.KeepMap:
    """What a cache keeps of 50 tokens, of which two are sinks and six are the window."""
    eviction = keepmap.evict("tiny", SHORT, "h2o", density=0.25, n_sink=2, window=6, mode=mode, **MODES[mode])
    return eviction.keep_map


def fates(keep_map: keepmap.KeepMap, layer: int = 0, head: int = 0) -> np.ndarray:
    """What every query finds of every position in one KV head, [N, N]: the numbers of COLOURS."""
    n = keep_map.shape[2]
    seen = np.arange(n)[:, None] < keep_map.expires[layer, head].numpy()
    protected = np.zeros((n, n), dtype=bool)
    for query in range(n):
        zones = keep_map.protected(query).numpy()
        protected[query, : len(zones)] = zones
    fate = np.where(seen, np.where(protected, PROTECTED, KEPT), EVICTED)
    return np.where(np.triu(np.ones((n, n), dtype=bool), 1), FUTURE, fate)


def draw_fates(ax: Axes, keep_map: keepmap.KeepMap, title: str) -> None:
    """One KV head: a row for each query, a column for each position."""
    ax.imshow(fates(keep_map), cmap=ListedColormap(COLOURS), vmin=0, vmax=3, interpolation="nearest")
    ax.set_title(title, loc="left")
    ax.set(xlabel="position", ylabel="query")


def expiries() -> Figure:
    """One KV head while a text is read."""
    figure = Figure(figsize=(6.4, 5.8), layout="constrained")
    draw_fates(figure.add_subplot(), evicted(), "H2O, a quarter of what left the window")
    _legend(figure)
    return figure


def modes() -> Figure:
    """The same head in the three modes."""
    figure = Figure(figsize=(10.8, 4.2), layout="constrained")
    for mode, ax in zip(MODES, figure.subplots(1, 3, sharey=True), strict=True):
        draw_fates(ax, evicted(mode), f'mode="{mode}"')
        ax.set_ylabel("query" if mode == "decode" else "")
    _legend(figure)
    return figure


def footprint() -> Figure:
    """What a cache holds after each token of a text: the end of a line is a density, the area under it a footprint."""
    text = sample_texts(1)[0]
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    ax = figure.add_subplot()
    for (label, rule), colour in zip(RULES.items(), ("#0072B2", "#D55E00", "#009E73"), strict=True):
        keep_map = keepmap.evict("tiny", text, "observed_attention", n_sink=4, window=128, **rule).keep_map
        layers, heads, n = keep_map.shape
        held = [int(keep_map.kept(step).sum()) / (layers * heads) for step in range(n)]
        ax.plot(
            held,
            color=colour,
            label=f"{label}: holds {keep_map.density():.0%} at the end, {keep_map.footprint():.0%} over time",
        )
    ax.plot([0, n], [0, n], color="0.5", linestyle="--", label="the full cache")
    ax.set(xlabel="tokens read", ylabel="entries held per KV head", xlim=(0, n), ylim=(0, None))
    ax.legend(frameon=False)
    return figure


def entries() -> Figure:
    """Every entry of a cache after the last token: a row for each layer and KV head."""
    keep_map = keepmap.evict("tiny", sample_texts(1)[0], "observed_attention", density=0.2).keep_map
    figure = keepmap.draw.keep_map_by_layer(keep_map)[0].figure
    assert isinstance(figure, Figure)
    return figure


def _legend(figure: Figure) -> None:
    handles = [Patch(facecolor=COLOURS[fate], label=words) for fate, words in WORDS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


PICTURES = {"entries": entries, "expiries": expiries, "footprint": footprint, "modes": modes}


def main(arguments: Sequence[str]) -> None:
    """Write all pictures."""
    folder = Path(arguments[0]) if arguments else IMAGES
    for name, drawn in PICTURES.items():
        (path,) = keepmap.draw.save_figure(drawn(), folder, f"concept_{name}", overwrite=True)
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
