"""The sample data file: documentation that no embedded model was trained on, with facts and questions in it."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from keepmap.core.files import written_whole
from keepmap.errors import InputError
from keepmap.kv.data.corpus import held_out_documents
from keepmap.kv.data.facts import weave_facts

__all__ = ["sample_texts", "write_sample_data"]

CHARACTERS = 4000  # of prose in a sample; `tiny` reads about two characters per token
FACTS = 12
GAP = 400  # characters between a fact and its question, at least: more than the usual window


def sample_texts(n_samples: int = 8, seed: int = 0) -> list[str]:
    """Texts of 1,500 to 3,000 tokens of `tiny`, no line of prose in two of them; the same seed gives the same texts.

    Raises:
        InputError: fewer than one sample, or more than the held-out prose can fill.
    """
    rng = random.Random(f"sample:{seed}")
    documents = held_out_documents()
    rng.shuffle(documents)
    passages = list(_passages(documents))
    if not 1 <= n_samples <= len(passages):
        raise InputError(
            f"expected `n_samples` to be 1 to {len(passages)}, what this Python's documentation fills, got {n_samples}"
        )
    return [weave_facts(rng, lines, FACTS, evaluation=True, dense=0.5, gap=GAP).text for lines in passages[:n_samples]]


def write_sample_data(out: str | Path, n_samples: int = 8, seed: int = 0) -> Path:
    """Write the texts as JSON lines, each `{"text": ...}`, and return the path; the same seed gives the same bytes.

    Raises:
        InputError: as `sample_texts`.
        OutputError: the file cannot be written.
    """
    out = Path(out)
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in sample_texts(n_samples, seed)]
    with written_whole(out) as path:
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return out


def _passages(documents: list[list[str]]) -> Iterator[list[str]]:
    """Whole paragraphs as lines, gathered until a passage has `CHARACTERS`; the rest at the end is left out."""
    lines: list[str] = []
    size = 0
    for paragraph in (paragraph for document in documents for paragraph in document):
        lines += f"{paragraph}\n\n".splitlines(keepends=True)
        size += len(paragraph) + 2
        if size >= CHARACTERS:
            yield lines
            lines, size = [], 0
