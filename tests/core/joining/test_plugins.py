"""Plugins: what joins and leaves, what is refused, and what is said of one that fails while it works."""

import os
import sys
from pathlib import Path

import pytest

import keepmap.draw
from keepmap.agents.collection.source import source_class, sources
from keepmap.agents.compressor import compressors, make_compressor
from keepmap.core.joining.plugins import joined, load_plugin, load_plugins, plugin_faults, plugins, unload_plugins
from keepmap.errors import InputError
from keepmap.kv.method import method_class, methods
from tests.forked import python

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar
from keepmap.kv.method import Scored

@dataclass(frozen=True)
class Mine(Scored):
    """The norm of the value."""
    power: float = 1.0
    name: ClassVar[str] = "NAME"
    label: ClassVar[str] = "Mine"
    needs: ClassVar[str] = "position"
    density: ClassVar[float | None] = 0.5

    def score(self, layer):
        return layer.values.norm(dim=-1) ** self.power
'''
COMPRESSOR = '''
from dataclasses import dataclass
from typing import ClassVar
from keepmap.agents.compressor import Compressor

@dataclass(frozen=True)
class First(Compressor):
    """Keeps the first transitions."""
    target_length: int = 4
    name: ClassVar[str] = "NAME"

    @property
    def max_length(self):
        return self.target_length

    def kept(self, history):
        return history.valid & (history.valid.cumsum(1) <= self.target_length)
'''
SOURCE = '''
from dataclasses import dataclass
from typing import ClassVar
from keepmap.agents.collection.source import Source

@dataclass(frozen=True)
class Nobody(Source):
    """Learns nothing."""
    alpha: float = 0.5
    name: ClassVar[str] = "NAME"
    usual_episodes: ClassVar[int] = 2

    def learn(self, room, goals, learners, episodes, seed, progress=None):
        raise NotImplementedError
'''
FIGURE = """
import keepmap
from matplotlib.figure import Figure

@keepmap.figure(keepmap.KeepMap)
def NAME(keep_map, *, title="held"):
    ax = Figure().add_subplot()
    ax.set_title(title)
    return ax
"""


@pytest.fixture(autouse=True)
def _plugins_are_taken_back():
    yield
    unload_plugins()


@pytest.fixture
def plugin(tmp_path):
    def write(text: str, name: str = "mine.py") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_plugin_of_each_kind_joins_and_leaves(plugin):
    file = plugin(
        METHOD.replace("NAME", "mine") + COMPRESSOR.replace("NAME", "first") + SOURCE.replace("NAME", "nobody")
    )
    before = list(methods()), list(compressors()), list(sources())
    assert load_plugin(file) == ("first", "mine", "nobody")
    assert plugins() == (file,)
    assert method_class("mine").label == "Mine" and list(methods()) != before[0]
    assert make_compressor("first", {"target_length": "2"}).max_length == 2
    assert source_class("nobody").usual_episodes == 2
    assert load_plugin(str(file)) == ("first", "mine", "nobody") and len(plugins()) == 1
    unload_plugins()
    assert (list(methods()), list(compressors()), list(sources())) == before and plugins() == ()
    load_plugins([file])
    assert "mine" in methods()


def test_a_plugin_whose_name_is_no_utf_8(tmp_path):
    file = tmp_path / os.fsdecode(b"\x80.py")
    with pytest.raises(InputError, match=r"udc80.py: no such file"):
        load_plugin(file)
    file.write_text(METHOD.replace("NAME", "mine"))
    assert load_plugin(file) == ("mine",)


def test_a_plugins_method_evicts(plugin):
    import torch

    import keepmap

    load_plugin(plugin(METHOD.replace("NAME", "mine")))
    language_model = keepmap.load_language_model("tiny", device="cpu")
    eviction = keepmap.evict(language_model, torch.arange(64) % language_model.vocab_size, "mine", window=8)
    assert 0 < eviction.keep_map.compressible_density() < 1


def test_another_process_that_loads_the_plugins_has_the_same_classes(plugin):
    load_plugin(plugin(COMPRESSOR.replace("NAME", "first")))
    code = (
        "from keepmap.agents.compressor import compressor_class\n"
        "from keepmap.core.joining.plugins import load_plugins\n"
        f"load_plugins({[str(path) for path in plugins()]!r})\nprint(compressor_class('first').__module__)"
    )
    done = python("-c", code, cwd=Path())
    assert (done.stdout, done.returncode) == (f"{compressors()['first'].__module__}\n", 0), done.stderr


BAD = [
    ("x = (", "is not Python: '(' was never closed (line 1)"),
    ("x = '\0'", "is not Python: source code string cannot contain null bytes"),
    ("x = '\xff'", "is not Python: (unicode error)"),
    ("import no_such_module_at_all", "failed: ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    ("raise ValueError('a\\nb')", "failed: ValueError: a"),
    ("raise SystemExit", "failed: SystemExit: no message"),
    ("", "defines nothing: expected a class with a `name`"),
    ("class Mine: name = 'mine'", "defines nothing"),
    ("from keepmap.kv.methods.h2o import H2O", "defines nothing"),
    (METHOD.replace("NAME", "h2o"), 'defines the method "h2o", a name that is taken; choose another'),
    (METHOD.replace("NAME", "a") + METHOD.replace("NAME", "a").replace("Mine(", "Yours("), 'defines the method "a"'),
    (METHOD.replace("NAME", "../up"), "Mine has the name '../up'; expected letters, digits and _ alone"),
    (METHOD.replace("NAME", "mine").replace("label:", "lable:"), "Mine has no class variable `label`; every method"),
    (METHOD.replace("NAME", "mine").replace('"position"', '"positon"'), 'needs "positon", did you mean "position"?'),
    (METHOD.replace("NAME", "mine").replace("def score", "def scores"), "Mine does not define `score`"),
    (
        METHOD.replace("NAME", "mine").replace("(Scored)", "(Method)").replace("import Scored", "import Method"),
        "from Scored, from Received or from Reviewed",
    ),
    (METHOD.replace("NAME", "mine").replace("float = 1.0", "float"), "Mine has no default for its option `power`"),
    (
        COMPRESSOR.replace("NAME", "c").replace("target_length", "kept"),
        'its length_option "target_length" is not an option',
    ),
    (FIGURE.replace("NAME", "attention_grid"), 'the figure "attention_grid", a name that is taken; choose another'),
    (FIGURE.replace("NAME", "save_figure"), 'the figure "save_figure", a name that is taken'),
    (FIGURE.replace("NAME", "two").replace("title=", "more, title="), "two: expected a function of one value"),
    (
        FIGURE.replace("NAME", "two").replace("keepmap.KeepMap", "int"),
        "expected `of` to be one of the classes",
    ),
    (SOURCE.replace("NAME", "s").replace("usual_episodes", "episodes"), "no class variable `usual_episodes`"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_a_plugin_that_is_refused_leaves_nothing(plugin, text, message):
    file = plugin("")
    file.write_bytes(text.encode("latin-1"))
    before = list(methods()), list(compressors()), list(sources()), {*sys.modules}
    with pytest.raises(InputError) as refused:
        load_plugin(file)
    assert str(file) in str(refused.value) and message in str(refused.value) and "\n" not in str(refused.value)
    assert (list(methods()), list(compressors()), list(sources())) == before[:3] and plugins() == ()
    assert not [name for name in {*sys.modules} - before[3] if name.startswith("_keepmap_plugin_")]


def test_a_plugin_that_is_not_there(tmp_path, plugin):
    with pytest.raises(InputError, match="^cannot load the plugin .*none.py: no such file; name a Python file$"):
        load_plugin(tmp_path / "none.py")
    with pytest.raises(InputError, match="it is a folder"):
        load_plugin(tmp_path)
    if os.geteuid():
        locked = plugin("")
        locked.chmod(0)
        with pytest.raises(InputError, match="Permission denied"):
            load_plugin(locked)


def test_a_function_that_is_marked_is_a_figure_until_its_plugin_is_taken_back(plugin):
    before = dir(keepmap.draw)
    assert load_plugin(plugin(FIGURE.replace("NAME", "held"))) == ("held",)
    assert dir(keepmap.draw) == sorted([*before, "held"]) and joined("figure") == {"held": keepmap.draw.held}
    assert keepmap.draw.held(None, title="mine").get_title() == "mine"
    assert joined("method") == {}
    unload_plugins()
    assert dir(keepmap.draw) == before
    with pytest.raises(AttributeError):
        _ = keepmap.draw.held


FAULTS = [
    ("raise ValueError('a\\nb')", "the method mine failed: ValueError: a (mine.py, line 16)"),
    ("return helper(layer)", "the method mine failed: ZeroDivisionError: division by zero (mine.py, line 18)"),
    ("return layer.no_such", "the method mine failed: AttributeError: 'LayerInput' object has no attribute 'no_such'"),
    ("assert False", "the method mine failed: AssertionError: no message (mine.py, line 16)"),
]


@pytest.mark.parametrize(("line", "message"), FAULTS, ids=[line for line, _ in FAULTS])
def test_what_fails_in_a_plugin_is_one_line_that_says_where(plugin, tmp_path, monkeypatch, line, message):
    text = METHOD.replace("NAME", "mine").replace("return layer.values.norm(dim=-1) ** self.power", line)
    load_plugin(plugin(f"{text}def helper(layer):\n    return 1 / 0\n"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as failed, plugin_faults():
        keepmap.evict("tiny", list(range(30)), "mine", window=4)
    assert message in str(failed.value) and "\n" not in str(failed.value)


def test_other_faults_stay_as_they_are(plugin, tmp_path):
    load_plugin(plugin(METHOD.replace("NAME", "mine")))
    with pytest.raises(ZeroDivisionError), plugin_faults():
        _ = 1 / 0
    with pytest.raises(InputError, match="^mine$"), plugin_faults():
        raise InputError("mine")
    function = plugin("import keepmap\n@keepmap.figure(keepmap.Study)\ndef f(x, y=0):\n    return g()\n", "other.py")
    load_plugin(function)
    with pytest.raises(InputError, match=r"^the figure f failed: NameError: .*other.py, line 4\)$"), plugin_faults():
        keepmap.draw.f(3)
