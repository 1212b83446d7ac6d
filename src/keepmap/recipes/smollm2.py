"""The texts that the surrogate of SmolLM2 in this package was trained on.

They are English manuals that Debian 12 carries, of which none is among the texts that keepmap's figures are about:

    apt-get download jargon-text debian-faq debian-reference-en developers-reference debian-history git-doc
    for package in *.deb; do dpkg -x "$package" FOLDER; done
    python -m keepmap.recipes.smollm2 FOLDER texts.jsonl
    keepmap train-surrogate --model_name smollm2 --data_path texts.jsonl --max_length 512 \\
        --positions_per_text 512 --out OUT

`config.json` and `model.safetensors` of OUT are `embedded/smollm2/kvzap-linear` of the package.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from keepmap.core.files import write_text
from keepmap.errors import InputError, KeepmapError

__all__ = ["SOURCES", "pieces", "write_texts"]

SOURCES = {
    "jargon-text": "usr/share/doc/jargon-text/jargon.txt.gz",
    "debian-reference-en": "usr/share/debian-reference/debian-reference.en.txt.gz",
    "developers-reference": "usr/share/developers-reference/developers-reference.txt.gz",
    "debian-faq": "usr/share/doc/debian/FAQ/debian-faq.en.txt.gz",
    "debian-history": "usr/share/doc/debian-history/docs/project-history.en.txt.gz",
    "git-doc": "usr/share/doc/git-doc/*.txt",
}
"""Debian package -> its files."""

CHARACTERS = 5000
"""Of a text, about: some 1,200 tokens, of which the training reads 512."""
TEXTS = 32
"""How many texts are taken of each source, at most."""


def pieces(text: str) -> Iterator[str]:
    """Whole paragraphs, gathered until there are `CHARACTERS` of them; the rest at the end is left out."""
    held: list[str] = []
    size = 0
    for paragraph in text.split("\n\n"):
        held.append(paragraph)
        size += len(paragraph) + 2
        if size >= CHARACTERS:
            yield "\n\n".join(held).strip("\n")
            held, size = [], 0


def write_texts(folder: Path, out: Path) -> int:
    """Write the texts as JSON lines, each `{"text": ..., "source": ...}`; how many there are.

    Of each source, pieces that lie evenly over its files. The sources take turns.

    Raises:
        InputError: the files of a source are not in the folder.
        OutputError: the file cannot be written.
    """
    chosen: list[tuple[int, str, str]] = []
    for source, pattern in SOURCES.items():
        files = sorted(folder.glob(pattern))
        if not files:
            raise InputError(f"no {pattern} in {folder}; unpack the Debian package {source} there")
        known = [piece for file in files for piece in pieces(_read(file))]
        count = min(TEXTS, len(known))
        chosen += [(turn, source, known[turn * len(known) // count]) for turn in range(count)]
    chosen.sort(key=lambda piece: piece[0])
    lines = [json.dumps({"text": text, "source": source}, ensure_ascii=False) for _, source, text in chosen]
    write_text(out, "\n".join(lines) + "\n")
    return len(chosen)


def _read(file: Path) -> str:
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return data.decode("utf-8", errors="replace").replace("\r\n", "\n")


def main(arguments: list[str]) -> int:
    """Write the texts of the packages unpacked in the first argument into the file that the second names."""
    try:
        if len(arguments) != 2:
            raise InputError(f"expected a folder and a file to write, got {len(arguments)} arguments")
        count = write_texts(Path(arguments[0]), Path(arguments[1]))
    except KeepmapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Wrote {count} texts to {arguments[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
