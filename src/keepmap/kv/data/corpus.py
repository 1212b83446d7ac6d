"""English prose that every CPython carries: `pydoc_data.topics` and the standard library's docstrings.

Nothing is downloaded and no module of the standard library is imported: docstrings are read from its source files.
Topics are split into training and held-out ones by a hash of the topic's name, so the split is the same in every
Python version, whatever text a version has under a name.
"""

import ast
import functools
import hashlib
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "fingerprint",
    "held_out_documents",
    "held_out_topics",
    "is_held_out",
    "paragraphs",
    "training_docstrings",
    "training_documents",
    "training_fingerprints",
    "training_topics",
]

HELD_OUT_SHARE = 4  # one topic in so many is held out
MIN_PARAGRAPH = 40  # characters; headings, rulers and lone code lines are shorter and may stand in many texts
_SKIPPED_FOLDERS = frozenset({"test", "tests", "idlelib", "idle_test", "site-packages", "lib2to3", "pydoc_data"})


def is_held_out(topic: str) -> bool:
    """Whether the topic of this name is kept away from training; depends on the name alone."""
    return hashlib.sha256(f"keepmap:{topic}".encode()).digest()[0] % HELD_OUT_SHARE == 0


def paragraphs(text: str) -> list[str]:
    """The text cut at blank lines, without empty pieces and without blanks at line ends."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return [piece.strip("\n") for piece in re.split(r"\n{2,}", lines) if piece.strip()]


def fingerprint(paragraph: str) -> str:
    """The paragraph's words with single blanks: equal for the same paragraph indented or wrapped differently."""
    return " ".join(paragraph.split())


@functools.cache
def _topics() -> dict[str, list[str]]:
    from pydoc_data.topics import topics

    return {name: paragraphs(text) for name, text in sorted(topics.items())}


@functools.cache
def held_out_topics() -> dict[str, list[str]]:
    """Topic name -> its paragraphs, for the topics no model was trained on.

    Topics quote each other; a paragraph that also stands in a training topic is left out.
    """
    seen = {fingerprint(piece) for name, pieces in _topics().items() if not is_held_out(name) for piece in pieces}
    kept = {
        name: [piece for piece in pieces if fingerprint(piece) not in seen]
        for name, pieces in _topics().items()
        if is_held_out(name)
    }
    return {name: pieces for name, pieces in kept.items() if pieces}


@functools.cache
def training_topics() -> dict[str, list[str]]:
    """Topic name -> its paragraphs, for the topics that models are trained on."""
    return {name: pieces for name, pieces in _topics().items() if not is_held_out(name)}


def _docstrings(source: str) -> Iterator[str]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


@functools.cache
def training_docstrings() -> list[list[str]]:
    """The standard library's docstrings in the order of their files, one list of paragraphs per file.

    Paragraphs that stand in a held-out topic are left out. The list is empty where Python has no source files.
    """
    forbidden = {fingerprint(piece) for pieces in held_out_topics().values() for piece in pieces}
    root = Path(sysconfig.get_path("stdlib"))
    documents = []
    for path in sorted(root.rglob("*.py")):
        if _SKIPPED_FOLDERS.isdisjoint(path.relative_to(root).parts):
            try:
                texts = list(_docstrings(path.read_text(encoding="utf-8")))
            except (SyntaxError, UnicodeDecodeError, ValueError):  # templates and samples of bad source
                continue
            pieces = [piece for text in texts for piece in paragraphs(text) if piece.isascii()]
            if pieces := [piece for piece in pieces if fingerprint(piece) not in forbidden]:
                documents.append(pieces)
    return documents


def training_documents() -> list[list[str]]:
    """All prose for training: one list of paragraphs per topic, then one per standard library file."""
    return [*training_topics().values(), *training_docstrings()]


def held_out_documents() -> list[list[str]]:
    """All prose for evaluation and samples: one list of paragraphs per held-out topic."""
    return list(held_out_topics().values())


def training_fingerprints() -> set[str]:
    """Fingerprints of every training paragraph of at least `MIN_PARAGRAPH` characters."""
    return {
        mark for pieces in training_documents() for piece in pieces if len(mark := fingerprint(piece)) >= MIN_PARAGRAPH
    }
