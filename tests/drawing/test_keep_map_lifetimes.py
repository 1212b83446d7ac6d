"""How long entries stay, against counting them one by one."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from keepmap.core.keep_map import KeepMap
from keepmap.drawing import keep_map_lifetimes
from keepmap.drawing.keep_map_lifetimes import survival
from keepmap.errors import InputError
from keepmap.kv.choosing import Budget, Protection, Threshold
from tests.drawing.maps import map_of, random_scores, streaming


def counted(keep_map: KeepMap) -> np.ndarray:
    """The same estimate, entry by entry and step by step."""
    layers, heads, n = keep_map.shape
    kept = keep_map.kept()
    curves = np.ones((layers, n - keep_map.n_sink + 1))
    for layer in range(layers):
        for age in range(1, curves.shape[1]):
            there = gone = 0
            for head in range(heads):
                for j in range(keep_map.n_sink, n):
                    stayed = int(keep_map.expires[layer, head, j]) - j
                    there += stayed >= age
                    gone += stayed == age and not bool(kept[layer, head, j])
            curves[layer, age] = curves[layer, age - 1] * (1 - gone / max(there, 1))
    return curves


@pytest.mark.parametrize("protection", [Protection(2, 5), Protection(0, 0)])
def test_the_curve_is_what_counting_gives(protection: Protection) -> None:
    for rule in (Budget(density=0.3), Threshold(0.6)):
        keep_map = map_of(random_scores(2, 2, 40), rule, protection)
        np.testing.assert_allclose(survival(keep_map), counted(keep_map), atol=1e-12)


def test_streaming_llm_keeps_everything_for_a_window_and_nothing_after() -> None:
    curves = survival(streaming(500))
    assert (curves[:, :129] == 1).all()
    assert (curves[:, 129:] == 0).all()
    (ax,) = keep_map_lifetimes(streaming(500))
    layers = ax.get_lines()[:2]
    assert all((line.get_ydata()[:128] == 100).all() and (line.get_ydata()[128:] == 0).all() for line in layers)
    assert ax.get_xlabel() == "steps in the cache"
    assert ax.get_title(loc="left") == "StreamingLLM · threshold 0.5 · tiny"


def test_given_axes_and_many_layers() -> None:
    ax = Figure().add_subplot()
    assert keep_map_lifetimes(map_of(random_scores(32, 1, 60), Budget(density=0.3), Protection(2, 5)), ax=ax) == (ax,)
    assert len(ax.get_lines()) == 33
    assert len(ax.get_legend().get_texts()) == 9


def test_a_map_of_sinks_alone_is_an_error() -> None:
    with pytest.raises(InputError, match="4 are sinks"):
        survival(map_of(torch.zeros(1, 1, 3), Threshold(0.5)))
