"""Spans are read whole or refused in one line, and found in the text's tokens."""

import json

import pytest

from keepmap.drawing.page.spans import Span, as_spans, read_spans
from keepmap.errors import InputError


def test_spans_are_read_and_placed(tmp_path):
    path = tmp_path / "spans.json"
    path.write_text('[{"name": "a", "start": 1, "end": 3}, {"name": "q", "text": "is wi"}]')
    spans = read_spans(path)
    assert spans == [Span("a", 1, 3), Span("q", text="is wi")]
    pieces = ["The", " river", " is", " wide"]
    assert [span.places(pieces) for span in spans] == [[(1, 3)], [(2, 4)]]
    assert [span.places(["The"]) for span in spans] == [[], []]


def test_a_text_is_marked_wherever_it_stands():
    assert Span("a", text="b.").places(["b", ". a", " bc", " b.b", "."]) == [(0, 2), (3, 4), (3, 5)]


def test_spans_are_given_as_a_list_too(tmp_path):
    entries = [{"name": "a", "start": 1, "end": 3}, {"name": "q", "text": "x"}]
    (tmp_path / "spans.json").write_text(json.dumps(entries))
    assert as_spans(entries) == as_spans(tmp_path / "spans.json") == as_spans([Span("a", 1, 3), entries[1]])


@pytest.mark.parametrize(
    ("spans", "message"),
    [([{"name": "a"}], "span 1 of `spans` is none"), ({"name": "a"}, "a file or a list such as"), (3, "got an int")],
)
def test_a_list_of_anything_else_is_refused_in_one_line(spans, message, unchecked):
    with pytest.raises(InputError, match=message):
        as_spans(spans)


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {},
        {"name": "a"},
        {"name": 3, "text": "x"},
        {"name": "a", "text": ""},
        {"name": "a", "start": 2, "end": 2},
        {"name": "a", "start": -1, "end": 2},
        {"name": "a", "start": 0, "end": 2, "text": "x"},
        {"name": "a", "start": 0.5, "end": 2},
    ],
)
def test_what_is_no_span_is_refused_by_its_number(entry, tmp_path):
    path = tmp_path / "spans.json"
    path.write_text(json.dumps([{"name": "a", "text": "x"}, entry]))
    with pytest.raises(InputError, match=r"^span 2 of .*spans.json is none; write it as one of \[\{"):
        read_spans(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot read the spans"), ("{}", "to be a list"), (None, "no spans at .*: no such file")],
)
def test_what_is_no_list_is_one_line(content, message, tmp_path):
    if content is not None:
        (tmp_path / "spans.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_spans(tmp_path / "spans.json")
