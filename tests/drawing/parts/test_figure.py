"""What marks a figure, what is drawn of a value, and what is refused."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

import keepmap
from keepmap.core.joining.plugins import load_plugin, unload_plugins
from keepmap.drawing import joined_figures, save_joined_figures
from keepmap.errors import InputError
from tests.drawing.maps import streaming

PLUGIN = """
import keepmap
from matplotlib.figure import Figure

@keepmap.figure(keepmap.KeepMap)
def held(keep_map):
    return Figure().add_subplot()

@keepmap.figure(keepmap.Study)
def studied(study):
    return None
"""


@pytest.fixture
def _plugin(tmp_path: Path):
    (tmp_path / "mine.py").write_text(PLUGIN, encoding="utf-8")
    load_plugin(tmp_path / "mine.py")
    yield
    unload_plugins()


@pytest.mark.usefixtures("_plugin")
def test_figures_are_drawn_of_what_they_are_of(tmp_path: Path) -> None:
    assert list(joined_figures(streaming(50))) == ["held"] and joined_figures("text") == {}
    paths = save_joined_figures(streaming(50), tmp_path, "of {x}_{name}", ["png", "svg"])
    assert [path.name for path in paths] == ["of {x}_held.png", "of {x}_held.svg"]
    assert all(path.is_file() for path in paths)


def test_without_plugins_nothing_joins(tmp_path: Path) -> None:
    assert joined_figures(streaming(50)) == {}
    assert save_joined_figures(streaming(50), tmp_path, "{name}", ["png"]) == []


def test_a_marked_function_is_what_it_was() -> None:
    def mine(keep_map: object) -> Figure:
        return Figure()

    assert keepmap.figure(keepmap.KeepMap)(mine) is mine


@pytest.mark.parametrize(
    ("of", "got"), [(int, "the class int"), (keepmap.Eviction, "the class Eviction"), (len, "a built"), (None, "None")]
)
@pytest.mark.usefixtures("unchecked")
def test_what_no_command_draws_is_refused(of: type, got: str) -> None:
    with pytest.raises(InputError, match=f"^expected `of` to be one of the classes KeepMap, .*, got {got}"):
        keepmap.figure(of)
