"""The grid of layers and heads, read back from what was drawn."""

import dataclasses
import hashlib

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from keepmap.drawing import attention_grid, save_figure
from keepmap.drawing.parts.raster import Raster
from keepmap.errors import InputError
from tests.drawing.profiles import marked, profile_of, words_of

NAMES = (
    "entropy",
    "normalised_entropy",
    "effective_positions",
    "sink_mass",
    "window_mass",
    "recent_distant_without_sinks",
)


def numbers(ax) -> np.ndarray:
    layers, heads = (len(axis.get_ticklocs()) for axis in (ax.yaxis, ax.xaxis))
    found = np.full((layers, heads), np.nan)
    for text in ax.texts:
        column, row = text.get_position()
        if text.get_ha() == "center":
            found[int(row), int(column)] = float(text.get_text())
    return found


def picture_of(ax) -> np.ndarray:
    (found,) = [child for child in ax.get_children() if isinstance(child, Raster)]
    return np.asarray(found.get_array())


@pytest.mark.parametrize("what", NAMES)
def test_cells_are_means_over_queries_that_see_two_positions(what: str) -> None:
    profile = profile_of(layers=3, heads=5)
    ax = attention_grid(profile, what=what)
    values = getattr(profile, what).double().numpy()[..., 1:]
    expected = np.nanmean(values, axis=-1)
    np.testing.assert_allclose(numbers(ax), expected, rtol=6e-3)
    colours = matplotlib.colormaps["viridis"](expected / expected.max())
    np.testing.assert_allclose(picture_of(ax) / 255, colours, atol=0.03)
    words = words_of(ax)
    assert "mean over queries that see two positions or more" in words and "all 50 queries" in words
    assert ax.get_xlabel() == "head" and ax.get_ylabel() == "layer"


def test_units_stand_on_the_colour_bar() -> None:
    units = [attention_grid(profile_of(), what=what).figure.axes[1].get_ylabel() for what in NAMES]
    assert units == ["nats", "share of ln n", "positions", "share of attention", "share of attention", "ratio"]
    assert "Mass in the first 4 positions" in attention_grid(profile_of(), what="sink_mass").get_title(loc="left")


def test_one_query() -> None:
    profile = marked(profile_of(queries=[4, 30]))
    ax = attention_grid(profile, what="effective_positions", query=30)
    np.testing.assert_allclose(numbers(ax), profile.effective_positions[..., 30].numpy(), rtol=6e-3)
    assert "at query 30, (episode, step) (2, 20)" in words_of(ax)
    mean = attention_grid(profile, what="effective_positions")
    np.testing.assert_allclose(numbers(mean), profile.effective_positions[..., [4, 30]].mean(-1).numpy(), rtol=6e-3)
    with pytest.raises(InputError, match="query 31 was asked for, which was not measured .* is 30"):
        attention_grid(profile, query=31)


def test_a_cell_without_a_value_is_hatched() -> None:
    ax = attention_grid(profile_of(n=3), what="recent_distant_without_sinks")
    assert np.isnan(numbers(ax)).all() and (picture_of(ax)[..., 3] == 0).all()
    assert "no value" in words_of(ax)
    profile = profile_of()
    entropy = profile.entropy.clone()
    entropy[1, 2] = float("nan")
    some = attention_grid(dataclasses.replace(profile, entropy=entropy))
    np.testing.assert_array_equal(np.isnan(numbers(some)), torch.isnan(entropy[..., 0]).numpy())


def test_large_grids_have_no_numbers_and_fewer_names() -> None:
    ax = attention_grid(profile_of(layers=17, heads=2, n=8))
    assert not [text for text in ax.texts if text.get_ha() == "center"]
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(layer) for layer in range(0, 17, 2)]


def test_given_axes_and_a_title() -> None:
    ax = Figure(figsize=(6, 6)).add_subplot()
    assert attention_grid(profile_of(), ax, title="$mine$") is ax
    assert ax.get_title(loc="left") == "$mine$" and "entropy" in words_of(ax)
    assert ax.child_axes[0].get_ylabel() == "entropy (nats)"


def test_an_unknown_statistic() -> None:
    with pytest.raises(InputError, match='"entropi" was asked for.*did you mean "entropy"'):
        attention_grid(profile_of(), what="entropi")


def test_the_same_bytes_whatever_the_user_has_set(tmp_path) -> None:
    def digest(name: str) -> list[str]:
        figure = attention_grid(profile_of()).figure
        paths = save_figure(figure, tmp_path / name, "x", "png,svg,pdf")
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    before = digest("a")
    with matplotlib.rc_context({"font.size": 31.0, "image.cmap": "jet"}):
        user = dict(matplotlib.rcParams)
        assert digest("b") == before
        assert dict(matplotlib.rcParams) == user
