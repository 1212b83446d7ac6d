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
from keepmap.drawing.parts.scale import robust_top
from keepmap.errors import InputError
from tests.drawing.profiles import marked, on_the_figure, profile_of, words_of

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
    result = np.full((layers, heads), np.nan)
    for text in ax.texts:
        column, row = text.get_position()
        if text.get_ha() == "center":
            result[int(row), int(column)] = float(text.get_text())
    return result


def picture_of(ax) -> np.ndarray:
    (result,) = [child for child in ax.get_children() if isinstance(child, Raster)]
    return np.asarray(result.get_array())


@pytest.mark.parametrize("what", NAMES)
def test_cells_are_means_over_queries_that_see_two_positions(what: str) -> None:
    profile = profile_of(layers=3, heads=5)
    ax = attention_grid(profile, what=what)
    values = getattr(profile, what).double().numpy()[..., 1:]
    expected = np.nanmean(values, axis=-1)
    np.testing.assert_allclose(numbers(ax), expected, rtol=6e-3)
    colours = matplotlib.colormaps["viridis"](np.clip(expected / robust_top(expected)[0], 0, 1))
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
    with pytest.raises(InputError, match="query=31 was not measured .* is 30"):
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
    with pytest.raises(InputError, match='what="entropi" is not a statistic of a profile: did you mean "entropy"'):
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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.21649, "0.216"),
        (0.0123, "0.012"),
        (0.00791, "0.008"),
        (0.000105, "1e-04"),
        (2.44e-6, "2e-06"),
        (1.236, "1.24"),
        (99.96, "100"),
        (999.4, "999"),
        (999.6, "1000"),
        (23456.7, "23457"),
        (123456.0, "1e+05"),
    ],
)
def test_numbers_are_as_short_as_their_cells(value: float, text: str) -> None:
    profile = profile_of(layers=1, heads=1, n=3)
    ax = attention_grid(dataclasses.replace(profile, entropy=torch.full_like(profile.entropy, value)))
    assert [number.get_text() for number in ax.texts if number.get_ha() == "center"] == [text]


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 2), (4, 4), (12, 12)])
def test_numbers_lie_inside_of_their_cells_and_the_figure_is_not_half_empty(layers: int, heads: int) -> None:
    profile = profile_of(layers=layers, heads=heads, n=30)
    sinks = profile.sink_mass * torch.logspace(-5, 0, heads)[None, :, None]
    ax = attention_grid(dataclasses.replace(profile, sink_mass=sinks), what="sink_mass")
    for text in (number for number in ax.texts if number.get_ha() == "center"):
        box = text.get_window_extent()
        assert box.width < 0.9 * ax.bbox.width / heads and box.height < ax.bbox.height / layers
    assert ax.bbox.width >= 0.6 * ax.figure.bbox.width
    assert ax.figure.axes[1].get_tightbbox().x1 <= ax.figure.bbox.x1
    on_the_figure(ax)


def test_numbers_stand_out_from_their_cells() -> None:
    profile = profile_of(heads=2, layers=1)
    entropy = torch.stack([torch.full((1, 50), 0.1), torch.full((1, 50), 3.0)], dim=1)
    dark, light = attention_grid(dataclasses.replace(profile, entropy=entropy)).texts[:2]
    assert (dark.get_color(), light.get_color()) == ("1.0", "0.0")


def test_one_layer_does_not_flatten_the_others() -> None:
    profile = profile_of(layers=30, heads=9, n=20)
    entropy = profile.entropy.clone()
    entropy[0] *= 20
    axes = attention_grid(dataclasses.replace(profile, entropy=entropy)).figure.axes
    others = np.asarray(picture_of(axes[0]))[1:, :, :3].astype(int).sum(axis=2)
    assert np.ptp(others) > 150, "the scale is of the other layers"
    assert axes[1].get_ylim()[1] < float(entropy[0].nanmean())
