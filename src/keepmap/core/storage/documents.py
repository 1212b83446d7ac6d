"""Results as JSON files with a checksum of what they hold: what is read is what was written, to the last digit."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keepmap.core.files import read_json, write_json

__all__ = ["checksum", "read_document", "with_checksum", "write_document"]

CHECKSUM = "checksum"
"""The last key of a document; those that were written before there was one have none."""


def checksum(document: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of what JSON says, in whatever order and with whatever spaces.

    >>> checksum({"a": 1, "b": (2, 3)}) == checksum({"b": [2, 3], "a": 1}) != checksum({"a": 1, "b": [2, 4]})
    True

    Raises:
        ValueError, TypeError: it holds what JSON has not.
    """
    # As a file has them: keys that are numbers are texts there, and come in another order.
    values = json.loads(json.dumps(document, allow_nan=False))
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_checksum(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the checksum of what it holds as its last key."""
    return {**document, CHECKSUM: checksum(document)}


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document with its checksum, whole or not at all, the same bytes for the same values.

    Raises:
        OutputError: the path cannot be written.
    """
    write_json(path, with_checksum(document))


def read_document(path: Path, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """What `write_document` wrote, without the checksum; where a file has one, it is that of the rest.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: it is no JSON, or is damaged.
    """
    document = read_json(path, parse_constant)
    if not isinstance(document, dict) or CHECKSUM not in document:
        return document
    given = document.pop(CHECKSUM)
    try:
        whole = given == checksum(document)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not whole:
        raise ValueError("its checksum is not that of what it holds")
    return document
