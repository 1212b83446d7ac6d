"""`keepmap.draw`: the figures under a short name, as an attribute and as a statement, and light until one is used."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

import keepmap
import keepmap.draw
import keepmap.drawing


def test_it_has_the_figures_and_nothing_else() -> None:
    assert dir(keepmap.draw) == sorted(keepmap.drawing.__all__)
    for name in dir(keepmap.draw):
        figure = getattr(keepmap.draw, name)
        assert isinstance(figure, types.FunctionType)
        assert figure is getattr(keepmap.drawing, name)


def test_a_statement_and_the_attribute_are_the_same_module() -> None:
    assert keepmap.draw is sys.modules["keepmap.draw"]
    from keepmap.draw import compression_heatmap

    assert compression_heatmap is keepmap.draw.compression_heatmap


def test_it_loads_matplotlib_when_a_figure_is_used() -> None:
    code = (
        "import sys, keepmap.draw\n"
        "heavy = ('matplotlib', 'torch', 'keepmap.drawing')\n"
        "print(dir(keepmap.draw)[0], [name for name in heavy if name in sys.modules])\n"
        "keepmap.draw.compression_heatmap\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "answers_by_memory []\n['matplotlib', 'torch', 'keepmap.drawing']\n"


def test_a_file_more_is_a_figure_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bar_of_nothing.py").write_text("def bar_of_nothing():\n    return 'drawn'\n")
    folders = [*keepmap.drawing.__path__, str(tmp_path)]
    monkeypatch.setattr(keepmap.drawing, "__path__", folders)
    monkeypatch.setattr(keepmap.drawing.__spec__, "submodule_search_locations", folders)
    assert "bar_of_nothing" in dir(keepmap.draw)
    assert keepmap.draw.bar_of_nothing() == "drawn"
    monkeypatch.delattr(keepmap.draw, "bar_of_nothing")
    monkeypatch.delitem(sys.modules, "keepmap.drawing.bar_of_nothing")


def test_a_star_takes_the_figures() -> None:
    names: dict[str, object] = {}
    exec("from keepmap.draw import *", names)  # noqa: S102 - a star is for the top of a module alone
    assert set(names) - {"__builtins__"} == set(keepmap.drawing.__all__)


def test_an_unknown_figure_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'keepmap.draw' has no attribute 'heatmap'"):
        _ = keepmap.draw.heatmap  # type: ignore[attr-defined]
