"""A file that is one text, read whole: of a bounded size, in UTF-8, with the same line ends everywhere."""

from pathlib import Path

from keepmap.core.arguments import as_path
from keepmap.core.storage.lines import LARGEST_TEXT, LARGEST_TEXT_IN_WORDS
from keepmap.core.storage.places import as_file
from keepmap.errors import InputError

__all__ = ["read_text"]


def read_text(name: str, path: str | Path) -> str:
    """The text of the file that the parameter `name` was given, with one-letter line ends.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "prompt.txt").write_bytes(b"two\\r\\nlines")
    ...     read_text("prompt_file", f"{folder}/prompt.txt")
    'two\\nlines'

    Raises:
        InputError: no such file, no file at all, one of more than 4 MiB, one that is not UTF-8, or an empty one.
    """
    place = as_path(name, path)
    try:
        if place.is_dir():
            raise InputError(f"expected `{name}` to be a file, got the folder {place}; name a file in it")
        if as_file(place).stat().st_size > LARGEST_TEXT:
            raise InputError(
                f"{place} has more than {LARGEST_TEXT_IN_WORDS}, the most that is read as one text; give a shorter one "
                f"as `{name}`"
            )
        text = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    except FileNotFoundError:
        raise InputError(f"no file at {place}: no such file; name one that is there as `{name}`") from None
    except OSError as error:
        raise InputError(f"cannot read {place}: {error.strerror or error}") from None
    if not text:
        raise InputError(f"{place} is empty; put a text into it, or name another file as `{name}`")
    return text
