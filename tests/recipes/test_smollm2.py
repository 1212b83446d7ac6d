"""The texts of SmolLM2's surrogate: pieces of manuals, evenly chosen, the same bytes each time."""

import gzip
import json

import pytest

from keepmap.errors import InputError
from keepmap.recipes.smollm2 import CHARACTERS, SOURCES, TEXTS, main, pieces, write_texts


@pytest.fixture
def unpacked(tmp_path):
    """Folders as the packages have them; the first source is long."""
    for number, pattern in enumerate(SOURCES.values()):
        path = tmp_path / "packages" / pattern.replace("*", "manual")
        path.parent.mkdir(parents=True, exist_ok=True)
        count = 2000 if number == 0 else 60
        text = "\n\n".join(f"Paragraph {k} of manual {number}. " + "Words follow. " * 30 for k in range(count))
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return tmp_path / "packages"


def test_pieces_are_whole_paragraphs():
    text = "\n\n".join(f"Paragraph {k}. " + "Words follow. " * 30 for k in range(50))
    parts = list(pieces(text))
    assert len(parts) > 2 and text.startswith("\n\n".join(parts))
    assert all(CHARACTERS - 2 <= len(part) <= CHARACTERS + 500 for part in parts)
    assert list(pieces("too short")) == []


def test_each_source_gives_texts_from_all_over_it(unpacked, tmp_path, capsys):
    assert main([str(unpacked), str(tmp_path / "a.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert capsys.readouterr().out == f"Wrote {len(rows)} texts to {tmp_path / 'a.jsonl'}\n"
    assert write_texts(unpacked, tmp_path / "b.jsonl") == len(rows)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert [row["source"] for row in rows[: len(SOURCES)]] == list(SOURCES)
    long = [int(row["text"].split()[1]) for row in rows if row["source"] == "jargon-text"]
    assert len(long) == TEXTS and long == sorted(long) and long[-1] > 1800
    assert len({row["text"] for row in rows}) == len(rows)


def test_what_is_missing_is_named(unpacked, tmp_path, capsys):
    (unpacked / SOURCES["debian-faq"]).unlink()
    with pytest.raises(InputError, match="unpack the Debian package debian-faq there"):
        write_texts(unpacked, tmp_path / "a.jsonl")
    assert main([str(unpacked), str(tmp_path / "a.jsonl")]) == 2
    assert main([]) == 2
    assert "got 0 arguments" in capsys.readouterr().err and not (tmp_path / "a.jsonl").exists()
