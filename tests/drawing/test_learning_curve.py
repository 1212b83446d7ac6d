"""Learning curves: the data that is drawn, and what can be seen of it."""

import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure

from keepmap.agents.evaluation.returns import Evaluation
from keepmap.core.result_table import ResultTable
from keepmap.drawing import learning_curve, save_figure
from keepmap.drawing.learning_curve import points
from keepmap.drawing.parts.style import curve_style
from keepmap.errors import InputError
from tests.drawing.maps import panel_of
from tests.drawing.parts.test_style import VISION, apart

GOALS = tuple((x, y) for x in range(2) for y in range(4))
OPTIMUM = (19.0, 18.0, 15.0, 16.0, 18.0, 16.0, 16.0, 20.0)


def learner(best: float = 1.0, episodes: int = 500, seed: int = 0, optimum: tuple[float, ...] = OPTIMUM) -> Evaluation:
    """Whole-numbered returns that rise to a share of the optimum over some ten episodes, with noise."""
    noise = np.random.default_rng(seed).integers(-2, 1, (len(optimum), 1, episodes))
    rise = 1 - np.exp(-np.arange(episodes) / 6)
    returns = np.clip(np.round(best * np.array(optimum)[:, None, None] * rise) + noise, 0, None)
    return Evaluation(GOALS[: len(optimum)], optimum, returns, {"seed": 0}, {})


def band_of(ax: Axes) -> PolyCollection:
    (band,) = (artist for artist in ax.collections if isinstance(artist, PolyCollection))
    return band


def test_early_episodes_stand_alone_and_late_ones_in_bins() -> None:
    evaluation = learner()
    drawn = points(evaluation)
    by_episode = evaluation.returns.mean(0)
    assert drawn.episode[:40].tolist() == list(range(1, 41))
    assert (drawn.mean[:40] == by_episode[:40]).all()
    assert len(drawn.episode) < 100 and drawn.episodes == 500
    # The bins are of 5 %, without gap or overlap: every episode counts once.
    first = 0
    for middle, mean in zip(drawn.episode, drawn.mean, strict=True):
        width = round(2 * (middle - first - 0.5))
        assert mean == pytest.approx(by_episode[first : first + width].mean())
        assert width == max(1, int(0.05 * first)) or first + width == 500
        first += width
    assert first == 500


def test_the_line_the_band_and_the_optimum_are_the_data() -> None:
    evaluation = learner()
    (ax,) = learning_curve({"tiny": evaluation})
    drawn = points(evaluation)
    line, best = ax.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), drawn.episode)
    np.testing.assert_array_equal(line.get_ydata(), drawn.mean)
    assert (line.get_label(), best.get_label()) == ("tiny", "optimum 17.25")
    assert set(best.get_ydata()) == {17.25}
    corners = band_of(ax).get_paths()[0].vertices
    assert drawn.low is not None and drawn.high is not None
    for episode, low, high in zip(drawn.episode, drawn.low, drawn.high, strict=True):
        here = corners[np.isclose(corners[:, 0], episode), 1]
        assert here.min() == pytest.approx(low) and here.max() == pytest.approx(high)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("episode (log scale)", "return (reward per episode)")
    assert ax.get_xscale() == "log" and ax.get_xlim() == (1, 500)
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > max(17.25, drawn.high.max())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["tiny", "optimum 17.25"]
    above = [text.get_text() for text in ax.texts]
    assert above == ["mean and 95 % interval over 8 goals · later episodes in bins of 5 %"]


def test_training_seeds_widen_the_band_and_are_counted() -> None:
    seeds = [learner(best, seed=index) for index, best in enumerate((1.0, 0.6, 0.8))]
    drawn = points(seeds)
    assert drawn.mean[:40] == pytest.approx(np.mean([seed.returns[:, :40] for seed in seeds], axis=(0, 1)))
    alone = points(seeds[2])
    assert drawn.low is not None and drawn.high is not None and alone.low is not None and alone.high is not None
    assert ((drawn.high - drawn.low)[20:] > (alone.high - alone.low)[20:]).all()
    (ax,) = learning_curve({"a": seeds, "b": learner(0.5)})
    assert ax.texts[0].get_text().startswith("mean and 95 % interval over 8 goals and 1 to 3 seeds")


def test_other_goals_have_an_optimum_of_their_own() -> None:
    (ax,) = learning_curve({"held out": learner(), "three": learner(0.9, optimum=(10.0, 20.0, 18.0), episodes=30)})
    labels = [str(line.get_label()) for line in ax.get_lines()]
    assert labels == ["held out", "three", "optimum 17.25", "optimum 16.00"]
    (ax,) = learning_curve({"a": learner(), "b": learner(0.9)})
    assert [str(line.get_label()) for line in ax.get_lines()] == ["a", "b", "optimum 17.25"]
    assert ax.texts[0].get_text().startswith("mean and 95 % interval over 8 goals ·")


def test_shares_of_the_optimum_make_other_goals_comparable() -> None:
    evaluations = {"a": learner(), "b": learner(0.9, optimum=(10.0, 20.0, 18.0), episodes=30)}
    (ax,), (plain,) = learning_curve(evaluations, as_share=True), learning_curve(evaluations)
    assert [str(line.get_label()) for line in ax.get_lines()] == ["a", "b", "optimum"]
    assert ax.get_ylabel() == "return (% of the optimum)"
    for line, whole, best in zip(ax.get_lines(), plain.get_lines(), (17.25, 16.0), strict=False):
        np.testing.assert_allclose(line.get_ydata(), 100 * np.array(whole.get_ydata()) / best)
    assert set(ax.get_lines()[2].get_ydata()) == {100.0}
    with pytest.raises(InputError, match="the optimum of none is 0; leave `as_share` out"):
        learning_curve({"none": Evaluation(GOALS[:1], (0.0,), np.zeros((1, 1, 5)), {}, {})}, as_share=True)


def test_one_goal_has_no_band_and_one_episode_is_a_point() -> None:
    (ax,) = learning_curve({"one": learner(optimum=(19.0,), episodes=1)})
    assert not ax.collections
    assert ax.get_lines()[0].get_marker() == "o"
    assert ax.get_xlim() == (1, 2)
    assert ax.texts[0].get_text() == "mean over 1 goal"


def test_an_agent_that_never_gets_a_reward_can_be_drawn() -> None:
    nothing = Evaluation(GOALS[:2], (0.0, 0.0), np.zeros((2, 1, 5)), {}, {})
    (ax,) = learning_curve({"none": nothing})
    assert ax.get_ylim()[1] > 0


def test_it_is_drawn_into_given_axes_and_leaves_the_style_alone() -> None:
    before = dict(matplotlib.rcParams)
    ax = Figure().add_subplot()
    assert learning_curve({"tiny": learner()}, ax=ax, title="mine") == (ax,)
    assert ax.get_title(loc="left") == "mine"
    assert dict(matplotlib.rcParams) == before


def test_the_pixels_show_the_curve_where_it_is() -> None:
    """The topmost pixel of the curve's colour in a column lies at its value."""
    evaluation = learner(0.5)
    (ax,) = learning_curve({"tiny": evaluation})
    picture = panel_of(ax).astype(int)
    height, width = picture.shape[:2]
    colour = np.round(np.array(to_rgb(curve_style(0)["color"])) * 255)
    mine = np.abs(picture - colour).sum(-1) < 30
    top = ax.get_ylim()[1]
    for episode in (10, 20, 40):
        column = round(np.log(episode) / np.log(500) * width)
        rows = np.flatnonzero(mine[:, column])
        assert rows.size, f"no line at episode {episode}"
        value = (1 - rows.mean() / height) * top
        assert value == pytest.approx(evaluation.returns[:, episode - 1].mean(), abs=0.25)
    # The optimum is a broken grey line, far above the curve.
    row = round((1 - 17.25 / top) * height)
    dark = (picture[row - 2 : row + 3].max(-1) < 160).any(0)
    assert 0.2 < dark.mean() < 0.8


def test_no_label_is_cut_off(tmp_path) -> None:
    names = {f"a rather long label number {number}": learner(1 - number / 10, 60) for number in range(9)}
    (ax,) = learning_curve(names)
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    across, down = figure.bbox.width, figure.bbox.height
    for text in [*ax.get_legend().get_texts(), *ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= across and box.y0 >= 0 and box.y1 <= down, text.get_text()
    first = [path.read_bytes() for path in save_figure(figure, tmp_path / "a", "x", "png,svg,pdf")]
    (ax,) = learning_curve(names)
    again = ax.get_figure(root=True)
    assert again is not None
    assert [path.read_bytes() for path in save_figure(again, tmp_path / "b", "x", "png,svg,pdf")] == first


class Mapped(ResultTable, dict):
    """A result that is a mapping, as a Comparison is."""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("value", "kind"), [(3, "int"), (Mapped(complete=True), "Mapped")])
def test_what_is_no_evaluation_is_one_line(value: object, kind: str) -> None:
    with pytest.raises(InputError, match=f"^expected `evaluations` to be a mapping from labels .*, got {kind}$"):
        learning_curve(value)


@pytest.mark.parametrize("evaluations", [{}, {"a": []}])
def test_nothing_to_draw_is_an_error(evaluations: dict[str, list[Evaluation]]) -> None:
    with pytest.raises(InputError, match="`evaluations` (is empty|has no evaluation)"):
        learning_curve(evaluations)
    with pytest.raises(InputError, match="on the same goals and episodes"):
        learning_curve({"a": [learner(), learner(episodes=5)]})


def test_curves_stay_apart_for_every_reader() -> None:
    styles = [curve_style(number) for number in range(28)]
    assert len({json.dumps(style) for style in styles}) == 28
    for first in range(4):
        assert all(styles[first]["linestyle"] != styles[other]["linestyle"] for other in range(first))
    for number, style in enumerate(styles[:7]):
        assert apart(style["color"], "#FFFFFF") > 25
        for other in styles[:number]:
            same_dashes = other["linestyle"] == style["linestyle"]
            for vision in VISION:
                assert apart(style["color"], other["color"], vision) > (20 if same_dashes else 8)
    assert same_color(styles[7]["color"], styles[0]["color"])


def test_drawing_one_loads_no_model() -> None:
    code = "import sys, keepmap.drawing.learning_curve; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
