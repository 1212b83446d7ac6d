"""The one registry: what it finds and refuses, options and settings, and plugins of all kinds."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from keepmap.agents.collection.source import Source, source_class, sources
from keepmap.agents.compressor import Compressor, compressors, make_compressor
from keepmap.core.registry import (
    Registry,
    load_plugin,
    load_plugins,
    one_line,
    plugins,
    read_options,
    split_setting,
    typed_options,
    unload_plugins,
)
from keepmap.errors import InputError
from keepmap.kv.method import Method, method_class, method_names, methods

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

    def _kept(self, history):
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


@dataclass(frozen=True)
class Options:
    count: int = 3
    share: float = 0.5
    yes: bool = False
    word: str = "a"
    fact: ClassVar[int] = 1


def test_a_registry_finds_what_the_package_defines_and_sorts_it(tmp_path, monkeypatch):
    folder = tmp_path / "things_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "b.py").write_text(
        "class Base: rank = 1\n"
        "class Unnamed(Base): pass\n"
        "class Late(Base): name, rank = 'early_name', 2\n"
        "class Early(Base): name = 'zz'\n"
        "class Other: name = 'other'\n"
    )
    (folder / "c.py").write_text("from things_of_a_test.b import Early, Late\nclass Heir(Late): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import things_of_a_test.b as b

    heard = []
    things = Registry("thing", b.Base, "things_of_a_test", order=lambda cls: cls.rank, joined=heard.append)
    assert things.classes() == {"zz": b.Early, "early_name": b.Late} and list(things.classes()) == ["zz", "early_name"]
    assert sorted(cls.name for cls in heard) == ["early_name", "zz"]
    assert things.named("zz") is b.Early
    assert type(things.make("zz")) is b.Early
    with pytest.raises(InputError, match='^unknown thing "zzz", did you mean "zz"[?]$'):
        things.named("zzz")
    with pytest.raises(InputError, match='^unknown option "a" of the thing zz, it has none$'):
        things.make("zz", {"a": 1})
    del things.classes()["zz"]
    assert "zz" in things.classes()


def test_methods_are_ordered_by_what_they_need():
    needs = [method.needs for method in methods().values()]
    assert needs == sorted(needs, key=("nothing", "position", "prefix", "received").index)
    assert method_names() == tuple(methods()) and method_names()[0] == "baseline"
    assert all(issubclass(method, Method) and method_class(name) is method for name, method in methods().items())


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, {}),
        ({"count": "7"}, {"count": 7}),
        ({"count": 7, "share": 1, "word": 5}, {"count": 7, "share": 1.0, "word": "5"}),
        ({"yes": "TRUE"}, {"yes": True}),
        ({"yes": False}, {"yes": False}),
    ],
)
def test_options_have_the_types_of_their_defaults(given, read):
    typed = typed_options(Options, given, "the thing x")
    assert typed == read and [type(value) for value in typed.values()] == [type(value) for value in read.values()]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cont": 1}, 'unknown option "cont" of the thing x, did you mean "count"?'),
        ({"fact": 1}, 'unknown option "fact" of the thing x, known: count, share, word, yes'),
        ({"count": "1.5"}, 'expected count of the thing x to be of type int, got "1.5"'),
        ({"count": True}, 'expected count of the thing x to be of type int, got "True"'),
        ({"share": "half"}, 'expected share of the thing x to be of type float, got "half"'),
        ({"yes": 1}, 'expected yes of the thing x to be true or false, got "1"'),
    ],
)
def test_options_that_are_refused(given, message):
    with pytest.raises(InputError) as refused:
        typed_options(Options, given, "the thing x")
    assert str(refused.value) == message


def test_settings_are_read_in_one_place():
    assert split_setting(" a = b=c ") == ("a", "b=c")
    assert read_options(["a=1", "b=", "a=2"]) == {"a": "2", "b": ""}
    with pytest.raises(InputError, match='^expected name=value, got the setting "a"$'):
        read_options(["a"])
    with pytest.raises(InputError, match='^expected name=value, as b=2, got the setting "=1"$'):
        split_setting("=1", "b=2")
    assert one_line("a\nb" + "c" * 60) == "a\\nb" + "c" * 57 + "..."


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
        "from keepmap.agents.compressor import compressor_class\nfrom keepmap.core.registry import load_plugins\n"
        f"load_plugins({[str(path) for path in plugins()]!r})\nprint(compressor_class('first').__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
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
        "Scored or",
    ),
    (METHOD.replace("NAME", "mine").replace("float = 1.0", "float"), "Mine has no default for its option `power`"),
    (
        COMPRESSOR.replace("NAME", "c").replace("target_length", "kept"),
        'its length_option "target_length" is not an option',
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


def test_looking_up_names_runs_nothing_of_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert "mine" not in methods() and issubclass(sources()["ppo"], Source)
    assert all(issubclass(compressor, Compressor) for compressor in compressors().values())
