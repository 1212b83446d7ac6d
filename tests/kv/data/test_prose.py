"""Documents to read: whole paragraphs under their titles, none twice, as long as one wants."""

import pytest

from keepmap.kv.data.corpus import MIN_PARAGRAPH, fingerprint, paragraphs
from keepmap.kv.data.prose import prose_documents


@pytest.mark.parametrize("length", [2000, 32_000])
def test_documents_have_the_length_and_no_paragraph_twice(length):
    documents = prose_documents(length, 0)
    assert len(documents) >= 200_000 // length
    assert min(map(len, documents)) >= length
    marks = [fingerprint(piece) for document in documents for piece in paragraphs(document)]
    long = [mark for mark in marks if len(mark) >= MIN_PARAGRAPH and not mark.endswith("(continued)")]
    assert len(long) == len(set(long))


def test_the_seed_orders_them_and_changes_none():
    first, again, other = (prose_documents(8000, seed) for seed in (0, 0, 1))
    assert first == again != other and sorted(first) == sorted(other)


def test_a_document_starts_with_a_title():
    for document in prose_documents(8000, 0):
        title, *rest = document.splitlines()
        assert title.endswith(" (continued)") or set(rest[0]) <= set("*=-~^"), title
    assert any(document.startswith("Objects, values and types") for document in prose_documents(8000, 0))
