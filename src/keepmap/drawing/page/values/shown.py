"""What the page shows of a value, whatever it is: a sentence, a table, settings, and what single views draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

from keepmap.core.files import plain
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays, packed_floats
from keepmap.drawing.page.maps import most_held
from keepmap.errors import escaped

__all__ = ["Shown", "added_floats", "kept_about", "kept_table", "redacted", "table_of", "that_needs"]

KINDS = ("words", "number", "hundredths", "signed", "cost", "share", "bar", "whole", "interval", "shares", "between")
"""How a column's values are written; an interval is two numbers with signs, two shares, or two of hundredths."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a page shows of one value; a view whose part is not there is not on the page.

    Attributes:
        caption: what it is of, in a line. verdict: the answer, in a sentence. warnings: what to know before numbers.
        model: its name. python: the lines that have the value again.
        settings: what decided the numbers, by name.
        rows: a comparison's rows, which the views of methods read. table: what the summary shows, by `table_of`, and
            `more` below it.
        pieces: the text of each of N positions, or none.
        keep_maps: of the same positions, by method, each with what else the page knows of it.
        parts: what one view alone draws, by its name.
    """

    caption: str
    verdict: str
    python: Sequence[str]
    model: str = ""
    warnings: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    table: Mapping[str, Any] | None = None
    more: Sequence[Mapping[str, Any]] = ()
    pieces: tuple[str, ...] = ()
    keep_maps: Sequence[tuple[KeepMap, Mapping[str, Any]]] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)


def table_of(caption: str, columns: Sequence[tuple[str, str, str]], rows: Sequence[Sequence[object]]) -> dict[str, Any]:
    """A table as the page has it.

    Args:
        columns: of each its title, what it means, and one of `KINDS`.

    >>> table_of("Goals", [("goal", "", "words")], [["7,2"]])["rows"]
    [['7,2']]
    """
    assert all(kind in KINDS for _, _, kind in columns) and all(len(row) == len(columns) for row in rows)
    return {"caption": caption, "columns": [list(column) for column in columns], "rows": plain(list(map(list, rows)))}


def added_floats(values: Shaped[np.ndarray, "..."], arrays: Arrays) -> dict[str, Any]:
    """Numbers among the arrays of a page, to two or three digits; in the order of their memory."""
    packed, about = packed_floats(np.ascontiguousarray(values, np.float32))
    return {"id": arrays.add(packed), **about}


def redacted(text: str) -> str:
    """A text of which only its length is told.

    >>> redacted("secret")
    '(6 characters, not in this file)'
    """
    return f"({len(text):,} characters, not in this file)"


def that_needs(name: str, reader: str, folder: str | None, writer: str) -> tuple[str, ...]:
    """The line that reads a value again; of one that was in memory alone, what it needs.

    Args:
        name: of the variable. reader: what reads it. writer: what writes it, where no file holds it.

    >>> that_needs("run", "read_tasks", "out", "`keepmap tasks`")
    ("run = keepmap.read_tasks('out')",)
    >>> print(*that_needs("run", "read_tasks", None, "`keepmap tasks`"), sep="\\n")
    # Needs `run`, which was in memory alone when this page was written.
    # What `keepmap tasks` writes can be read again: run = keepmap.read_tasks(path)
    """
    if folder is not None:
        return (f"{name} = keepmap.{reader}({folder!r})",)
    return (
        f"# Needs `{name}`, which was in memory alone when this page was written.",
        f"# What {writer} writes can be read again: {name} = keepmap.{reader}(path)",
    )


def kept_about(keep_map: KeepMap) -> tuple[str, dict[str, Any]]:
    """What a map by itself is called, and what the page knows of it beside its entries."""
    info = keep_map.info
    label = escaped(str(info.get("label", info.get("method", "KeepMap"))))
    density = info.get("density")
    return label, {
        "key": "map",
        "label": label,
        "density": float(density) if isinstance(density, int | float) else None,
        "nll": None,
    }


def kept_table(maps: Sequence[tuple[str, KeepMap]]) -> dict[str, Any]:
    """A row for each map: what it holds at the end, on average and at most."""
    columns = [
        ("method", "", "words"),
        ("kept", "cache entries kept at the end, of all", "share"),
        ("kept, compressible", "the same without sinks and window", "share"),
        ("footprint", "cache entries held on average while reading, of all", "share"),
        ("peak", "most entries held at once, of all", "share"),
    ]
    rows = [
        [label, keep_map.density(), keep_map.compressible_density(), keep_map.footprint(), most_held(keep_map)]
        for label, keep_map in maps
    ]
    return table_of("What is held", columns, rows)
