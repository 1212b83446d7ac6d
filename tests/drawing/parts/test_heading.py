"""What stands above a figure, and that it needs no room where it is left out."""

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.style import figure_style
from tests.drawing.profiles import words_of

WIDTH = 400.0
STATISTICS = ["12 positions", "density 20 %"]


def heading(lift: float = 0.0, **wording: object) -> Heading:
    entries = [Patch(label="kept"), Patch(label="evicted")]
    return Wording("What was kept", **wording).heading(STATISTICS, entries, WIDTH, lift)  # type: ignore[arg-type]


def words(**wording: object) -> str:
    ax = Figure(figsize=(8, 4)).add_subplot()
    heading(**wording).draw(ax)
    return f"{ax.get_title(loc='left')}|{words_of(ax).strip()}"


@pytest.mark.parametrize(
    ("wording", "shown"),
    [
        ({}, "What was kept|12 positions · density 20 %"),
        ({"title": "mine"}, "mine|12 positions · density 20 %"),
        ({"title": ""}, "|12 positions · density 20 %"),
        ({"caption": "a · $b$"}, "What was kept|a · $b$"),
    ],
)
def test_each_part_is_what_the_caller_wants(wording: dict[str, object], shown: str) -> None:
    title, rest = words(**wording).split("|")
    assert (title, rest.split("\n")[0]) == tuple(shown.split("|"))
    assert rest.endswith("kept\nevicted")


def test_a_part_that_is_left_out_is_not_drawn() -> None:
    assert "density" not in words(caption=False) and "density" not in words(caption="")
    ax = Figure().add_subplot()
    heading(legend=False).draw(ax)
    assert ax.get_legend() is None and len(ax.texts) == 1
    ax.set_title("whose Axes these are", loc="left")
    heading(title="", legend=False, caption=False).draw(ax)
    assert ax.get_title(loc="left") == "whose Axes these are" and len(ax.texts) == 1


def test_what_is_left_out_needs_no_room() -> None:
    line = 14 / 72
    whole = heading().height
    for part in ({"title": ""}, {"legend": False}, {"caption": False}):
        assert heading(**part).height == pytest.approx(whole - line)
    assert heading(title="", legend=False, caption=False).height == pytest.approx(12 / 72)
    assert heading(lift=36.0).height == pytest.approx(whole + 0.5)
    assert heading(title="word " * 40).height > whole + line


def test_the_label_says_what_is_drawn_whether_it_is_shown_or_not() -> None:
    label = "What was kept · 12 positions · density 20 %"
    assert heading().label == label
    assert heading(title="", legend=False, caption=False).label == label
    assert heading(title="mine", caption="by me").label == "mine · by me"


def test_statistics_break_between_their_parts_only() -> None:
    parts = [f"a part of {number} words" for number in range(12)]
    ax = Figure(figsize=(8, 4)).add_subplot()
    Wording("x").heading(parts, [], WIDTH).draw(ax)
    lines = ax.texts[0].get_text().split("\n")
    assert len(lines) > 1 and [part for line in lines for part in line.split(" · ")] == parts


def test_names_in_a_figure_are_neither_formulas_nor_control_characters() -> None:
    evil = "$x^$<b>\x1b[2J\u202e"
    shown = "$x^$<b>\\x1b[2J\\u202e"
    with figure_style():
        figure = Figure(figsize=(8, 4))
        ax = figure.add_subplot()
        drawn = Wording(evil).heading([evil], [Patch(label=evil)], WIDTH)
        drawn.draw(ax)
    assert drawn.label == f"{shown} · {shown}"
    assert {ax.get_title(loc="left"), *words_of(ax).split()} == {shown}
    figure.canvas.draw()  # a formula of such letters ended in a ParseSyntaxException
