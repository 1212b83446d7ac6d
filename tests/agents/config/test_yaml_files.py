"""Configuration files: YAML as of 1.2, in the package or beside the user's, and files that are none."""

from pathlib import Path

import pytest

from keepmap.agents.config.yaml_files import find_file, packaged_names, parse_yaml, read_file
from keepmap.errors import InputError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_numbers_are_those_of_yaml_1_2():
    assert parse_yaml("[1e-3, 010, 1:30, on, 2024-01-01, 64.0, ~, .5, 1_000]", "x") == [
        0.001,
        10,
        "1:30",
        "on",
        "2024-01-01",
        64.0,
        None,
        0.5,
        "1_000",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1\nlr: 2", 'x (line 2): not usable as YAML: the key "lr" a second time'),
        ("a: {b: 1, b: 2}", 'the key "b" a second time'),
        ("? [a]\n: 1", "x (line 1): not usable as YAML: a key that is not a word"),
        ("lr: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
        ("[" * 5000, "x: not usable as YAML"),
    ],
)
def test_a_text_that_is_refused(text, message):
    with pytest.raises(InputError) as refused:
        parse_yaml(text, "x")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_is_found_beside_then_here_then_in_the_package(here):
    (here / "deep").mkdir()
    for folder in (here, here / "deep"):
        (folder / "a.yaml").write_text("lr: 1")
    assert find_file("a.yaml") == (Path("a.yaml"), "a.yaml")
    beside = find_file("a.yaml", here / "deep" / "b.yaml", "deep/b.yaml")
    assert beside == (here / "deep" / "a.yaml", "deep/a.yaml")
    packaged, shown = find_file("config/model/ad_dr.yaml", here / "deep" / "b.yaml", "deep/b.yaml")
    assert packaged.is_file() and shown == "config/model/ad_dr.yaml" in packaged_names()
    with pytest.raises(InputError, match="deep/b.yaml includes c.yaml: no such file"):
        find_file("c.yaml", here / "deep" / "b.yaml", "deep/b.yaml")


def test_a_file_of_a_mapping_is_read_with_or_without_a_byte_order_mark(here):
    for mark in (b"", b"\xef\xbb\xbf"):
        (here / "a.yaml").write_bytes(mark + b"lr: 0.5")
        assert read_file(here / "a.yaml", "a.yaml") == {"lr": 0.5}
