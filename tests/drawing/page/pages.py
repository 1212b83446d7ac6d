"""Comparisons that pages are made of in tests, without any model: of both rules, and with hostile names and tokens."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from keepmap.core.densities import KeptCounts
from keepmap.core.keep_map import KeepMap
from keepmap.kv.choosing import Budget, Protection, Threshold
from keepmap.kv.comparison.results import Comparison, MethodResult, SampleResult
from keepmap.kv.token_costs import TokenCosts
from tests.drawing.maps import map_of, random_scores

HOSTILE = (
    *("</script><script>document.title='run'</script>", "<img src=x onerror=document.title='run'>", "\u202eabc"),
    *("\x00\x1b[2J", "\ud800", "é🙂", "'\"&amp;", "\n", "{{script}}", "<!--", "x" * 1_000_000, "", "=1+1"),
)
KEYS = ("baseline_no_chunking", "baseline")


def keep_maps(n: int = 300) -> dict[str, KeepMap]:
    """A budget's choice and a threshold's, of 2 layers x 3 KV heads."""
    protection = Protection(n_sink=4, window=16)
    return {
        "h2o": map_of(random_scores(2, 3, n), Budget(density=0.3), protection),
        "kvzap": map_of(random_scores(2, 3, n, seed=1), Threshold(0.6), protection),
        "streaming_llm": map_of(random_scores(2, 3, n), Threshold(2.0), protection),
    }


def lone_map(n: int, kept: Sequence[tuple[int, int, int]], shape: tuple[int, int] = (1, 2)) -> KeepMap:
    """A map that keeps these (layer, KV head, position) alone."""
    held = torch.zeros(*shape, n, dtype=torch.bool)
    for place in kept:
        held[place] = True
    return KeepMap(torch.full_like(held, n, dtype=torch.int64), torch.zeros(held.shape), held=held)


def compared(maps: Mapping[str, KeepMap], pieces: Sequence[str] = (), label: str = "") -> Comparison:
    """A comparison of these maps on one text; the costs are made up, and grow from method to method."""
    n = next(iter(maps.values())).shape[2]
    rows, token_costs = [], {}
    for at, key in enumerate((*KEYS, *maps)):
        keep_map = maps.get(key)
        rows.append(_row(key, f"{label}{key.upper()}", max(0, at - 1), n, keep_map))
        nll = np.float32([0.5 + 0.1 * max(0, at - 1) * (token % 5 - 1) for token in range(n - 1)])
        token_costs[key] = TokenCosts(nll, np.abs(nll), tuple(pieces) if key == KEYS[0] else ())
    return Comparison(
        configuration={"model_name": "tiny", "seed": 0, "chunk_size": 1, "methods": list(maps), "densities": {}},
        baseline_no_chunking=rows[0],
        baseline=rows[1],
        methods=tuple(rows[2:]),
        samples=tuple(_sample(row, n, number) for row in rows for number in range(4)),
        complete=True,
        validated=None,
        keep_maps=dict(maps),
        token_costs=token_costs,
    )


def words(n: int) -> tuple[str, ...]:
    """A text of n tokens that can be told apart."""
    return tuple("\n" if at % 40 == 39 else f" w{at}" if at % 3 else f" {at}." for at in range(n))


def _row(key: str, label: str, at: int, n: int, keep_map: KeepMap | None) -> MethodResult:
    kept, free = (1.0, 1.0) if keep_map is None else (keep_map.density(), keep_map.compressible_density())
    return MethodResult(
        **{"method": label, "method_key": key, "perplexity": 8.0 + at, "avg_nll": 2.0 + 0.1 * at},
        **{"nll_delta": 0.1 * at, "nll_delta_pct": 5.0 * at, "ppl_delta": 0.0 + at, "ppl_delta_pct": 10.0 * at},
        **{"nll_delta_low": 0.1 * at - 0.02, "nll_delta_high": 0.1 * at + 0.03, "n_samples": 4, "total_tokens": n - 1},
        **{"density_overall": kept, "density_compressible": free, "token_density_overall": kept},
        **{"token_density_compressible": free, "footprint": 1.0 if keep_map is None else keep_map.footprint()},
        **{
            "kl": 0.05 * at,
            "top1_agreement": 1.0 - 0.1 * at,
            "threshold": None,
            "density": 0.3,
            "n_sink": 4,
            "window": 16,
        },
    )


def _sample(row: MethodResult, n: int, number: int) -> SampleResult:
    """One of four texts, which differ more from each other than from method to method."""
    counts, nll = KeptCounts(n, n, n, n), row.avg_nll * (1 + 0.01 * number) + 0.5 * number
    return SampleResult(
        **{"method": row.method_key, "sample": number, "line": number + 1, "n_tokens": n, "n_predicted": n - 1},
        **{"nll": nll * (n - 1), "kl": 0.0, "n_agreed": 1, "entries": counts, "tokens": counts, "footprint": 1.0},
    )
