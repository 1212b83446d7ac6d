"""What a tokenizer's files call things: the library that reads them prints names that it does not know as they are."""

from collections.abc import Iterator
from pathlib import Path

from keepmap.core.files import read_json
from keepmap.errors import ModelError

__all__ = ["require_plain_names"]

FILES = ("tokenizer_config.json", "special_tokens_map.json")
"""Whose names become options of tokens; those of other files are tokens, and are not printed."""
LARGEST = 2**26
"""Bytes; of a tokenizer of a million tokens that are described one by one it has 200 for each."""


def require_plain_names(source: str | Path, name: str, only_here: bool = False) -> None:
    """Whether all that the files name can be printed: past Python's own streams, a terminal would obey it.

    Args:
        source: a folder, or a hub's repository. name: the model's, for messages.
        only_here: whether the hub is not asked.

    Raises:
        ModelError: a name holds control characters or the like.
        OSError: a file cannot be found or downloaded.
    """
    from transformers.utils import cached_file

    for file in FILES:
        path = cached_file(source, file, local_files_only=only_here, _raise_exceptions_for_missing_entries=False)
        if path is None:
            continue
        if Path(path).stat().st_size > LARGEST:
            raise ModelError(f'tokenizer "{name}": its {file} is larger than 64 MiB; save the tokenizer again')
        try:
            content = read_json(Path(path))
        except (OSError, ValueError):  # what loads it says what is wrong
            continue
        if odd := next((key for key in _names(content) if not key.isprintable()), None):
            raise ModelError(
                f'tokenizer "{name}": its {file} has the name {odd!r:.60}, which cannot be printed; save the tokenizer '
                "again"
            )


def _names(content: object) -> Iterator[str]:
    """Every name in it, however deep."""
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield from value
            left += value.values()
        elif isinstance(value, list):
            left += value
