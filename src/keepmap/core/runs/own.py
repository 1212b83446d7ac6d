"""Which files of a run's folder keepmap has made: by what they say of themselves, or by names that it alone gives.

A `run.json` comes with its folder from wherever that comes from. What it names is removed, and what has a name of the
run's own files is written over, only where this says so, too.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from keepmap.core.files import read_json
from keepmap.core.storage.documents import checksum
from keepmap.core.storage.own import begins_with, holds, is_blank

__all__ = ["has_made", "is_name"]

LONGEST_NAME = 255
"""Letters that a name has at most."""
_NAMED: Mapping[re.Pattern[str], Callable[[Path], bool]] = {
    re.compile(name): is_own
    for name, is_own in {
        r"(.+/)?timings\.json": lambda path: holds(b"{", b'"seconds')(path) or holds(b"{", b'"reading"')(path),
        r"(.+/)?index\.jsonl": begins_with(b'{"unit": "'),
        r"(.+/)?log\.jsonl": begins_with(b'{"step": '),
        r"(.+/)?methods\.txt": holds(b"", b"Evaluating: "),
        r"(.+/)?attention_layers\.txt": holds(b"", b"ANALYZING LAYER "),
        r"(.+/)?events\.out\.tfevents\.[^/]+": lambda _: True,
        r"study\.csv": begins_with(b"compressor,"),
        r"study\.md": holds(b"# ", b"Written by `keepmap study"),
        r"(summary|answers)\.csv": begins_with(b"task,"),
        r"rows/\d{6}\.\w+\.npy": begins_with(b"\x93NUMPY"),
        r"blocks/[^/]+\.hdf5": begins_with(b"\x89HDF"),
    }.items()
}
"""Files that do not say whose they are: those of these names, with what they begin with or hold."""


def _is_document(path: Path) -> bool:
    """Whether it is JSON with keepmap's checksum, or with the name of one of its formats."""
    try:
        document = read_json(path)
        given, form = document.pop("checksum", None), str(document.get("format"))
        return form.startswith("keepmap") or given == checksum(document)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False


_MARKED = {
    ".json": _is_document,
    ".safetensors": holds(b"", b"keepmap"),
    ".html": holds(b"<!DOCTYPE html", b"keepmap"),
    ".png": holds(b"\x89PNG", b"keepmap"),
    ".svg": holds(b"<?xml", b"keepmap"),
    ".pdf": holds(b"%PDF", b"keepmap"),
}


def is_name(name: str, *, pattern: bool = False) -> bool:
    """Whether a file below a folder can be called so: nothing that leads out of it, and nothing that no system takes.

    >>> [is_name(name) for name in ("samples/a.json", "../a.json", "/a.json", "a//b", "")]
    [True, False, False, False, False]

    Args:
        pattern: whether it may match names of any depth.
    """
    parts = name.split("/")
    possible = not re.search("[\0\ud800-\udc7f\udd00-\udfff]", name)
    return possible and all(
        part not in ("", ".", "..") and not (pattern and "**" in part) and len(part) <= LONGEST_NAME for part in parts
    )


def has_made(folder: Path, name: str) -> bool:
    """Whether a file of a folder is one that keepmap has made: no link, behind none, and of its kind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("timings.json", "notes.json"):
    ...         _ = Path(folder, name).write_text('{"seconds": 1.5}')
    ...     has_made(Path(folder), "timings.json"), has_made(Path(folder), "notes.json")
    (True, False)
    """
    path = folder / name
    try:
        if not is_name(name) or not path.is_file() or path.resolve() != folder.resolve() / name:
            return False
        named = [is_own for pattern, is_own in _NAMED.items() if pattern.fullmatch(name)]
        if named:
            return is_blank(path) or any(is_own(path) for is_own in named)
        return path.suffix in _MARKED and _MARKED[path.suffix](path)
    except OSError:
        return False
