"""Which files of a run's folder keepmap has made: by what they say of themselves, or by names that it alone gives.

A `run.json` comes with its folder from wherever that comes from. What it names is removed only where this says so, too.
"""

import re
from pathlib import Path

from keepmap.core.files import read_json
from keepmap.core.storage.documents import checksum
from keepmap.core.storage.own import holds

__all__ = ["has_made", "is_name"]

LONGEST_NAME = 255
"""Letters that a name has at most."""
_NAMED = re.compile(
    r"(.+/)?(timings\.json|index\.jsonl|log\.jsonl|methods\.txt|attention_layers\.txt|events\.out\.tfevents\.[^/]+)"
    r"|study\.(csv|md)|summary\.csv|answers\.csv|rows/\d{6}\.\w+\.npy|blocks/[^/]+\.hdf5"
)
"""Files that do not say whose they are."""


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
    ...         _ = Path(folder, name).write_text("{}")
    ...     has_made(Path(folder), "timings.json"), has_made(Path(folder), "notes.json")
    (True, False)
    """
    path = folder / name
    try:
        if not is_name(name) or not path.is_file() or path.resolve() != folder.resolve() / name:
            return False
        says_so = _MARKED.get(path.suffix)
        return _NAMED.fullmatch(name) is not None or (says_so is not None and says_so(path))
    except OSError:
        return False
