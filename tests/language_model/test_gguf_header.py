"""GGUF files of a few bytes that say that they hold more than there is."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from keepmap.errors import ModelError
from keepmap.language_model import gguf
from keepmap.language_model.gguf_header import MOST, require_true_header
from tests.language_model.test_gguf import READERS

U8, U32, TEXT, ARRAY, U64 = 0, 4, 8, 9, 10


def text(content: str, order: str = "<") -> bytes:
    return struct.pack(f"{order}Q", len(content)) + content.encode()


def header(*facts: bytes, n: int | None = None, order: str = "<") -> bytes:
    """A file of facts, and no tensors."""
    counts = struct.pack(f"{order}IQQ", 3, 0, len(facts) if n is None else n)
    return b"GGUF" + counts + b"".join(text("key", order) + fact for fact in facts)


def array(kind: int, length: int, content: bytes = b"", order: str = "<") -> bytes:
    return struct.pack(f"{order}IIQ", ARRAY, kind, length) + content


WHOLE = {
    "numbers and texts": header(
        struct.pack("<IB", U8, 7), struct.pack("<I", TEXT) + text("a"), array(U32, 2, bytes(8))
    ),
    "texts": header(array(TEXT, 2, text("a") + text("bc"))),
    "the other order": header(array(TEXT, 1, text("a", ">"), ">"), struct.pack(">IQ", U64, 1), order=">"),
    "no facts": header(),
    "too short for any": b"GGUF",
}
LIES = {
    "numbers": header(array(U32, 2**60)),
    "bytes": header(array(U8, 9, bytes(8))),
    "texts": header(array(TEXT, 2**60)),
    "arrays": header(array(ARRAY, 2**40, bytes(4096))),
    "more than any model has": header(array(U8, MOST + 1, bytes(MOST + 1))),
    "in several arrays": header(*[array(U8, MOST // 2, bytes(MOST // 2))] * 3),
    "a text": header(struct.pack("<IQ", TEXT, 2**63)),
    "a key": header(n=1) + struct.pack("<Q", 2**50),
    "facts": header(n=2**62),
    "a kind that none has": header(struct.pack("<I", 99)),
}


def refused(file: Path) -> bool:
    try:
        require_true_header(file, "model")
    except ModelError:
        return True
    return False


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_what_is_there_is_true(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    assert not refused(tmp_path / "model.gguf")


@READERS
@pytest.mark.parametrize("read", [gguf.read_model, gguf.read_tokenizer])
@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_what_is_not_there_is_refused_before_it_is_read(
    tmp_path: Path, content: bytes, read: Callable[[Path, str], object]
) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged or was cut: copy it or download the file again"):
        read(tmp_path / "model.gguf", "model")
