"""From arguments to options: what is understood, and the one line for whatever is not.

The lines that the parser words itself are held here letter by letter, so that another version of it is noticed.
"""

import io
import re
import sys
from dataclasses import fields

import pytest

from keepmap.cli import options
from keepmap.cli.parsing import parse
from keepmap.cli.verbs import VERBS, Verb
from keepmap.errors import InputError


def read(words: list[str]) -> tuple[Verb, object]:
    parsed = parse(words)
    assert parsed is not None
    return parsed


def test_every_kind_of_option_is_read() -> None:
    words = "compare --data-path x --max_samples 3 --density=0.5 --methods h2o,random kvzap --no-visualize"
    verb, record = read([*words.split(), "--n_sink", "None"])
    assert verb is VERBS["compare"]
    assert record == options.Compare(
        data_path="x", max_samples=3, density=0.5, methods=("h2o,random", "kvzap"), no_visualize=True, n_sink=None
    )
    _, record = read(["attention", "--layers", "0", "2", "--model_name", "tiny", "--data_path=a=b"])
    assert record == options.Attention(layers=(0, 2), model_name="tiny", data_path="a=b")
    _, record = read(["study", "--budgets", "50", "80.5", "--plugin", "a.py", "b.py"])
    assert record == options.Study(budgets=(50.0, 80.5), plugin=("a.py", "b.py"))


@pytest.mark.parametrize("name", VERBS)
def test_without_words_a_record_has_its_defaults(name: str) -> None:
    required = {
        "compare": {"data_path": "x"},
        "sample-data": {"out": "x"},
        "generate": {"prompt_file": "x"},
        "train-surrogate": {"data_path": "x", "out": "y"},
    }.get(name, {})
    _, record = read([name, *(word for option, value in required.items() for word in (f"--{option}", value))])
    assert record == VERBS[name].record(**required)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        # Our own words.
        ("", f"no verb was given; use one of {', '.join(VERBS)} (keepmap --help)"),
        ("compar", 'unknown verb "compar", did you mean "compare"?'),
        ("--seed 3", f'unknown verb "--seed", known: {", ".join(sorted(VERBS))}'),
        ("compare", "--data_path is missing (keepmap compare --help)"),
        ("compare --seed 1", "--data_path is missing (keepmap compare --help)"),
        ("sample-data", "--out is missing (keepmap sample-data --help)"),
        ("train --sets a", 'unknown option "--sets" of train, did you mean "--set"?'),
        ("train --xyzzy", 'unknown option "--xyzzy" of train, see keepmap train --help'),
        ("train --set a=1 --set b=2", "--set was given twice; give it once, with all that it is to hold"),
        # The parser's words.
        ("compare --data_path", "Missing value for argument '--data_path'. Expected 1 values (keepmap compare --help)"),
        ("compare --data_path x y", "Unrecognized options: y (keepmap compare --help)"),
        ("compare --data_path x -q", "Unrecognized options: -q (keepmap compare --help)"),
        ("train train", "Unrecognized options: train (keepmap train --help)"),
        ("attention --verify yes", "Unrecognized options: yes (keepmap attention --help)"),
        ("attention --verify=yes", "Unrecognized options: yes (keepmap attention --help)"),
        (
            "compare --data_path x --chunk_size one",
            'expected --chunk_size to be an integer, got "one" (keepmap compare --help)',
        ),
        (
            "compare --data_path x --max_samples 1.5",
            'expected --max_samples to be an integer, got "1.5" (keepmap compare --help)',
        ),
        (
            "compare --data_path x --density half",
            'expected --density to be a number, got "half" (keepmap compare --help)',
        ),
        (
            "compare --data_path x --kvzap_model_type cnn",
            "invalid choice 'cnn' for argument '--kvzap_model_type'. Expected one of ('auto', 'mlp', 'linear') "
            "(keepmap compare --help)",
        ),
        (
            "study --budgets 80 b",
            'expected --budgets to be numbers, got "80 b" (keepmap study --help)',
        ),
        (
            "attention --layers 1.5",
            'expected --layers to be integers, got "1.5" (keepmap attention --help)',
        ),
    ],
)
@pytest.mark.parametrize(("columns", "encoding"), [("40", "utf-8"), (None, "utf-8"), ("80", "ascii"), (None, "cp1252")])
def test_a_fault_is_one_line(
    monkeypatch: pytest.MonkeyPatch, words: str, line: str, columns: str | None, encoding: str
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    with pytest.raises(InputError) as caught:
        parse(words.split())
    assert str(caught.value) == line


@pytest.mark.parametrize(
    "words",
    ["--plugin a --plugin b", "--plugin a b", "--plugin=a --plugin b", "--plugin a --budgets 50 --plugin=b"],
)
def test_plugins_are_named_together_or_apart(words: str) -> None:
    _, record = read(["study", *words.split()])
    assert record.plugin == ("a", "b")


@pytest.mark.parametrize("word", ["s" * 300, "a │ ╭─ b", "\x1b[31mred", "a\nb", "ü" * 90, "two  words"])
def test_words_of_the_user_are_quoted_whole(word: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(["compare", "--data_path", "x", word])
    shown = " ".join(word.replace("\x1b[31m", "").split())
    assert str(caught.value) == f"Unrecognized options: {shown} (keepmap compare --help)"


@pytest.mark.parametrize("words", [["--help"], ["-h"], *([name, "--help"] for name in VERBS), ["compare", "-h"]])
def test_help_is_printed_and_fits(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert parse(words) is None
    out, error = capsys.readouterr()
    assert error == "" and out.startswith("usage: keepmap ")
    if words[0] in VERBS:
        for field in fields(VERBS[words[0]].record):
            word = field.name.upper().removesuffix("S")  # of many words, the help names one
            assert re.search(rf"^[│ ] (--{field.name}|\[?{word}S?)\b", out, re.MULTILINE)
    else:
        assert "usage: keepmap [-h] VERB\n" in out
        assert [name for name in VERBS if not re.search(rf"^.  +[•*] {name} ", out, re.MULTILINE)] == []


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"]])
@pytest.mark.parametrize(("encoding", "frame"), [("utf-8", "╭─ options"), ("ascii", " options  ")])
def test_help_is_fit_for_its_output(
    monkeypatch: pytest.MonkeyPatch, words: list[str], encoding: str, frame: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert parse(words) is None
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert f"\n{frame}" in text and "?" not in text
    assert words != ["--help"] or ("• compare " in text) == (encoding == "utf-8") == ("* compare" not in text)
