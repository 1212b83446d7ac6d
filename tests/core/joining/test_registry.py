"""The one registry: what it finds and refuses, options and settings, and where it looks."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from keepmap.agents.collection.source import Source, sources
from keepmap.agents.compressor import Compressor, compressors
from keepmap.core.joining.options import as_settings, one_line, read_options, split_setting, typed_options
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError
from keepmap.kv.method import Method, method_class, method_names, methods

COVERS = ("keepmap.core.joining.options",)


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
    with pytest.raises(InputError, match='^unknown thing "zzz" as `thing`, did you mean "zz"[?]$'):
        things.named("zzz")
    with pytest.raises(InputError, match='^unknown option "a" of the thing zz, it has none$'):
        things.make("zz", {"a": 1})
    del things.classes()["zz"]
    assert "zz" in things.classes()


def test_settings_are_one_text_or_several():
    assert as_settings("a=1") == as_settings(["a=1"]) == as_settings(("a=1",)) == ("a=1",)
    assert read_options("a=1") == {"a": "1"}
    for settings, shown in ((5, "5"), (None, "None"), ({"a": 1}, "a dict"), ([5], "5 among them")):
        with pytest.raises(InputError, match=f"^expected `settings` to be name=value strings, got {shown}$"):
            as_settings(settings)


def test_methods_are_ordered_by_what_they_need():
    needs = [method.needs for method in methods().values()]
    assert needs == sorted(needs, key=("nothing", "position", "prefix", "held", "window", "received", "future").index)
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


def test_looking_up_names_runs_nothing_of_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert "mine" not in methods() and issubclass(sources()["ppo"], Source)
    assert all(issubclass(compressor, Compressor) for compressor in compressors().values())
