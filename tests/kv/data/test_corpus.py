"""The prose of CPython: how it is cut, and that no paragraph of the held-out topics is trained on."""

from keepmap.kv.data.corpus import (
    fingerprint,
    held_out_documents,
    held_out_topics,
    is_held_out,
    paragraphs,
    training_topics,
)


def test_a_text_is_cut_at_blank_lines() -> None:
    assert paragraphs("a  \n  b\n\n \n\nc\n") == ["a\n  b", "c"]
    assert paragraphs(" \n\n") == []


def test_a_fingerprint_does_not_see_how_a_paragraph_is_wrapped() -> None:
    assert fingerprint("  a b\n   c") == fingerprint("a\nb c") == "a b c"


def test_the_split_of_topics_is_by_name() -> None:
    assert [is_held_out(name) for name in ("compound", "types")] == [True, False]
    assert all(map(is_held_out, held_out_topics()))
    assert not any(map(is_held_out, training_topics()))
    assert held_out_documents() == list(held_out_topics().values())


def test_no_held_out_paragraph_is_in_a_training_topic() -> None:
    marks = {fingerprint(piece) for pieces in held_out_documents() for piece in pieces}
    trained = {fingerprint(piece) for pieces in training_topics().values() for piece in pieces}
    assert len(marks) > 100 and len(trained) > 100
    assert marks.isdisjoint(trained)
