"""Documents that make sense to read: Python's documentation by topic, in reading order, joined to any length."""

import random
from collections.abc import Iterator

from keepmap.kv.data.corpus import MIN_PARAGRAPH, fingerprint, paragraphs

__all__ = ["prose_documents"]

_FIRST = """
objects types specialnames execmodel identifiers strings formatstrings numbers atom-identifiers atom-literals
attribute-references subscriptions slicings calls await power unary binary shifting bitwise comparisons booleans lambda
exprlists operator-summary assert assignment pass del return yield raise break continue import global nonlocal compound
string-methods typesseq typesmapping debugger
"""
"""Topics in the order of the manual, those before others that quote them; what is not named comes after them."""
_RULERS = frozenset("*=-~^")


def prose_documents(length: int, seed: int) -> list[str]:
    """All of the documentation that this Python carries, cut at paragraphs into documents of at least `length`.

    No long paragraph stands twice. A document that begins inside a topic begins with its title.

    Args:
        length: characters. What is left at the end and is shorter is left out.
        seed: of the order of the documents; each is the same for every seed.
    """
    documents = list(_documents(length))
    random.Random(f"prose:{seed}").shuffle(documents)
    return documents


def _documents(length: int) -> Iterator[str]:
    pieces: list[str] = []
    size = 0
    for title, paragraph in _reading():
        starts = paragraph.split("\n")[0] == title
        # A document ends where a title comes, unless that would make it half as long again.
        if size > length and (starts or size > 1.5 * length):
            yield "\n\n".join(pieces) + "\n"
            pieces, size = [], 0
        if not pieces and not starts:
            pieces.append(f"{title} (continued)")
            size += len(pieces[0]) + 2
        pieces.append(paragraph)
        size += len(paragraph) + 2
    if size > length:
        yield "\n\n".join(pieces) + "\n"


def _reading() -> Iterator[tuple[str, str]]:
    """Each paragraph with the title that it stands under, in reading order; repetitions are left out."""
    from pydoc_data.topics import topics

    known = [name for name in _FIRST.split() if name in topics]
    seen: set[str] = set()
    for name in [*known, *sorted(set(topics) - set(known))]:
        title = name
        for paragraph in paragraphs(topics[name]):
            lines = paragraph.split("\n")
            if len(lines) == 2 and len(lines[1]) >= 3 and set(lines[1]) <= _RULERS:
                title = lines[0]
            mark = fingerprint(paragraph)
            if mark in seen:
                continue
            if len(mark) >= MIN_PARAGRAPH:
                seen.add(mark)
            yield title, paragraph
