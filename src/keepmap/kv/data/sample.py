"""The sample data file: documentation with facts and questions in it, or documentation as it is."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from keepmap.core.arguments import as_integer, as_path
from keepmap.core.files import written_whole
from keepmap.core.storage.own import begins_with, require_free
from keepmap.errors import InputError, counted, did_you_mean
from keepmap.kv.data.corpus import held_out_documents
from keepmap.kv.data.facts import weave_facts
from keepmap.kv.data.prose import prose_documents

__all__ = ["sample_texts", "write_sample_data"]

LENGTHS = {"facts": 4000, "prose": 8000}
"""Kind -> characters in a sample, at least; `tiny` reads about two characters per token, SmolLM2 about four."""
FACTS = 12
MARK = '{"source": "keepmap sample-data", "text": '
"""What each line begins with: by its first a file is known as one that keepmap wrote."""
SHORTEST = 1000  # characters: all facts still fit in
GAP = 400  # characters between a fact and its question, at least: more than the usual window


def sample_texts(n_samples: int = 8, seed: int = 0, kind: str = "facts", length: int | None = None) -> list[str]:
    """Texts, no long paragraph of prose in two of them; the same seed gives the same texts in the same Python.

    Args:
        kind: "facts" is prose that `tiny` was not trained on, with facts and questions woven in, by default of 1,500 to
            3,000 of its tokens; "prose" is documentation to be read from start to end, of topics that `tiny` was
            trained on, too, by default of about 2,000 tokens of a model with a large vocabulary.
        length: characters of prose in each text, at least.

    Raises:
        InputError: an unknown kind, a length below 1,000, fewer than one sample, or more than the prose can fill.
    """
    if kind not in LENGTHS:
        raise InputError(f'unknown `kind` "{kind}", {did_you_mean(str(kind), LENGTHS)}')
    n_samples = as_integer("n_samples", n_samples, 1)
    length = as_integer("length", LENGTHS[kind] if length is None else length, SHORTEST)
    if kind == "prose":
        documents = prose_documents(length, seed)
        return documents[: _checked(n_samples, len(documents), length)]
    rng = random.Random(f"sample:{seed}")
    topics = held_out_documents()
    rng.shuffle(topics)
    passages = list(_passages(topics, length))
    count = _checked(n_samples, len(passages), length)
    return [weave_facts(rng, lines, FACTS, evaluation=True, dense=0.5, gap=GAP).text for lines in passages[:count]]


def _checked(n_samples: int, most: int, length: int) -> int:
    if n_samples > most:
        raise InputError(
            f"expected `n_samples` to be {most} or less, got {n_samples}: this Python's documentation fills no more "
            f"with {counted(length, 'character')} each; give fewer, or a smaller `length`"
        )
    return n_samples


def write_sample_data(
    out: str | Path,
    n_samples: int = 8,
    seed: int = 0,
    kind: str = "facts",
    length: int | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the texts as JSON lines, each `{"source": ..., "text": ...}`, and return the path.

    The same seed gives the same bytes. Another such file at `out` is written over.

    Args:
        overwrite: whether a file that is none is written over, too.

    Raises:
        InputError: as `sample_texts`.
        OutputError: the file cannot be written, or a file that is no sample data is there.
    """
    out = as_path("out", out)
    require_free(out, begins_with(MARK.encode()), "sample data of keepmap", overwrite)
    texts = sample_texts(n_samples, seed, kind, length)
    lines = [f"{MARK}{json.dumps(text, ensure_ascii=False)}}}\n" for text in texts]
    with written_whole(out) as path:
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return out


def _passages(documents: list[list[str]], length: int) -> Iterator[list[str]]:
    """Whole paragraphs as lines, gathered until a passage has `length` characters; the rest at the end is left out."""
    lines: list[str] = []
    size = 0
    for paragraph in (paragraph for document in documents for paragraph in document):
        lines += f"{paragraph}\n\n".splitlines(keepends=True)
        size += len(paragraph) + 2
        if size >= length:
            yield lines
            lines, size = [], 0
