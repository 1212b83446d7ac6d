"""Which folder a run has: the one that is named, if it may have that, or one of its own beside those of other runs."""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

from keepmap.core.runs.folder import RunFolder, read_run_file
from keepmap.core.runs.identity import Identity

__all__ = ["folder_for", "require_place"]


def folder_for(usual: Path, identity: Identity) -> Path:
    """The folder that holds this run; where there is none, the first that is free of `usual`, `usual-2`, `usual-3`, ...

    Nothing is written to find out. A folder is free where it holds no file, whatever folders are in it.

    >>> import tempfile
    >>> run = Identity(verb="evaluate", options={}, versions={}, hashes={})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "results").mkdir()
    ...     free = folder_for(Path(folder, "results"), run).name
    ...     Path(folder, "results", "of_mine.txt").touch()
    ...     print(free, folder_for(Path(folder, "results"), run).name)
    results results-2
    """
    for number in sorted(_numbers(usual)):
        file = read_run_file(_numbered(usual, number))
        if file is not None and file.identity.difference_to(identity) is None:
            return _numbered(usual, number)
    return next(folder for number in count(1) if _is_free(folder := _numbered(usual, number)))


def require_place(folder: Path, known: Identity, names: Iterable[str], *, overwrite: bool) -> None:
    """Refuse a folder for what is known of a run before anything is loaded, as `RunFolder.check` does.

    Args:
        known: some of its options and hashes; in the others the folder's own run is taken to be the same.
        names: of files that are going to be written.
    """
    earlier = read_run_file(folder)
    if earlier is not None and earlier.identity.verb == known.verb:
        known = replace(known, options={**earlier.identity.options, **known.options})
    RunFolder(folder, known, overwrite=overwrite).check(names)


def _numbers(usual: Path) -> set[int]:
    pattern = re.compile(re.escape(usual.name) + r"(?:-(\d+))?")
    try:
        matches = [pattern.fullmatch(path.name) for path in usual.parent.iterdir()]
    except OSError:
        return set()
    return {int(match[1] or 1) for match in matches if match is not None}


def _numbered(usual: Path, number: int) -> Path:
    return usual if number == 1 else usual.with_name(f"{usual.name}-{number}")


def _is_free(folder: Path) -> bool:
    try:
        return all(path.is_dir() or path.name.startswith(".") for path in folder.iterdir())
    except NotADirectoryError:
        return False
    except OSError:
        return True  # it is not there, or cannot be read: whoever writes into it says so
