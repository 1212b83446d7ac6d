"""Figures as files: three formats, whole, with their parameters and without a date, the same bytes every time."""

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from keepmap.drawing import compression_heatmap, keep_map_by_layer, save_figure
from keepmap.drawing.parts.style import KEPT
from keepmap.errors import InputError, OutputError
from tests.drawing.maps import budgeted, is_colour, lone_tokens, streaming

ALL = ("png", "svg", "pdf")


def figure_of() -> Figure:
    return compression_heatmap(streaming())[0].figure  # type: ignore[return-value]


def test_the_three_formats_open(tmp_path: Path) -> None:
    paths = save_figure(figure_of(), tmp_path / "new" / "folder", "StreamingLLM_compression_heatmap", ALL)
    assert [path.name for path in paths] == [f"StreamingLLM_compression_heatmap.{name}" for name in ALL]
    png, svg, pdf = paths
    with Image.open(png) as picture:
        assert picture.width > 2048
        assert round(picture.info["dpi"][0]) == 200
        assert "StreamingLLM · threshold 0.5 · tiny · Overall density: 12.89%" in picture.info["Title"]
    root = ElementTree.parse(svg).getroot()
    assert root.tag.endswith("svg")
    assert "StreamingLLM · threshold 0.5" in svg.read_text(encoding="utf-8"), "text stays text"
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"/FontFile2" in pdf.read_bytes(), "TrueType fonts, which publishers accept"
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in paths)


def test_no_file_holds_a_date(tmp_path: Path) -> None:
    for path in save_figure(figure_of(), tmp_path, "x", ALL):
        data = path.read_bytes()
        assert b"CreationDate" not in data
        assert b"dc:date" not in data


def test_the_picture_inside_an_svg_has_every_token(tmp_path: Path) -> None:
    (path,) = save_figure(compression_heatmap(lone_tokens())[0].figure, tmp_path, "x", "svg")  # type: ignore[arg-type]
    encoded = re.findall(r'xlink:href="data:image/png;base64,([^"]+)"', path.read_text(encoding="utf-8"))[0]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    columns = is_colour(pixels, KEPT).all(axis=0).nonzero()[0]
    assert pixels.shape[1] == 2048
    assert sorted({int(x) // 2 for x in columns}) == [0, 1, 500, 777, 1022, 1023]


PROGRAM = """
import hashlib, sys
from pathlib import Path
from keepmap.drawing import compression_heatmap, keep_map_by_layer, save_figure
from tests.drawing.maps import budgeted
for draw in (compression_heatmap, keep_map_by_layer):
    for path in save_figure(draw(budgeted())[0].figure, sys.argv[1], draw.__name__, "png,svg,pdf"):
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """This process, whose hashes are others, and one on another day."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "1"},
        cwd=Path(__file__).parents[3],
    )
    own = [
        f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for draw in (compression_heatmap, keep_map_by_layer)
        for path in save_figure(draw(budgeted())[0].figure, tmp_path / "own", draw.__name__, ALL)
    ]
    assert done.stdout.splitlines() == own and len(own) == 6


def test_the_users_settings_do_not_reach_the_bytes(tmp_path: Path) -> None:
    def digests(folder: str) -> list[str]:
        figures = [draw(budgeted())[0].figure for draw in (compression_heatmap, keep_map_by_layer)]
        paths = [
            path for k, figure in enumerate(figures) for path in save_figure(figure, tmp_path / folder, f"{k}", ALL)
        ]  # type: ignore[arg-type]
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    expected = digests("a")
    user = {
        "font.size": 30.0,
        "savefig.bbox": "tight",
        "svg.fonttype": "path",
        "pdf.fonttype": 3,
        "axes.grid": True,
        "lines.marker": "o",
    }
    with matplotlib.rc_context(user):
        assert digests("b") == expected
        assert matplotlib.rcParams["savefig.bbox"] == "tight"


def test_a_string_may_name_several_formats(tmp_path: Path) -> None:
    assert [path.suffix for path in save_figure(figure_of(), tmp_path, "x", "png, .SVG,png PDF")] == [
        ".png",
        ".svg",
        ".pdf",
    ]


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (("png", "pgn"), 'the format "pgn" is not supported: did you mean "png"'),
        (("gif",), "known: pdf, png, svg"),
        ((), "`formats` is empty"),
    ],
)
def test_an_unknown_format_writes_nothing(tmp_path: Path, formats: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        save_figure(figure_of(), tmp_path / "new", "x", formats)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OutputError, match="taken"):
        save_figure(figure_of(), tmp_path / "taken", "x")


def test_a_figure_its_axes_and_several_of_them_give_the_same_file(tmp_path: Path) -> None:
    pair = compression_heatmap(streaming())
    forms = {"figure": pair[0].figure, "axes": pair[1], "tuple": pair, "rows": np.array([pair])}
    pictures = {
        save_figure(form, tmp_path / name, "x")[0].read_bytes()  # type: ignore[arg-type]
        for name, form in forms.items()
    }
    assert len(pictures) == 1


def test_axes_of_a_part_of_a_figure_are_saved_with_the_whole_figure(tmp_path: Path) -> None:
    figure = Figure(figsize=(4, 2), dpi=50)
    left, right = figure.subfigures(1, 2)
    right.add_subplot()
    (path,) = save_figure(left.add_subplot(), tmp_path, "x")
    with Image.open(path) as picture:
        assert picture.size == (200, 100)


def test_axes_of_two_figures_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected `figure` to be Axes of one figure, got those of 2"):
        save_figure([Figure().add_subplot(), Figure().add_subplot()], tmp_path / "new", "x")
    with pytest.raises(InputError, match="got those of 0"):
        save_figure([], tmp_path / "new", "x")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("drawn", "got"), [(7, "got int"), ("x.png", "got str"), ([1], "got a list of int")])
@pytest.mark.usefixtures("unchecked")
def test_no_figure_is_an_error(tmp_path: Path, drawn: object, got: str) -> None:
    with pytest.raises(InputError, match=f"expected `figure` to be a Figure, Axes or a sequence of Axes, {got}"):
        save_figure(drawn, tmp_path / "new", "x")  # type: ignore[arg-type]


def test_drawing_loads_neither_a_model_nor_pyplot() -> None:
    probe = "import sys, keepmap.drawing; print([m for m in ('transformers', 'matplotlib.pyplot') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
