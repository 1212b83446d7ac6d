"""The page as a file: whole or not at all, and the same bytes for the same values."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_flag, as_path
from keepmap.core.files import make_folder, write_text
from keepmap.core.storage.own import holds, require_free
from keepmap.core.versions import __version__
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.content import ReportedRun, run_document
from keepmap.drawing.page.maps import LARGEST, PackedMap, add_maps
from keepmap.drawing.page.same_text import kept_elsewhere
from keepmap.drawing.page.source import filled
from keepmap.drawing.page.spans import Span, as_spans
from keepmap.drawing.page.values.kinds import Reportable, kind_of_value
from keepmap.errors import InputError, escaped

__all__ = ["framed_page", "page_of", "require_free_report", "write_report"]

WITH_TEXT = "The text of the first sample, or what was answered, is in this file. --redact_text writes one without it."
WITHOUT_TEXT = "The text is not in this file: each token shows its kind."
FRAME_HEIGHT = 720
"""Pixels of a notebook."""


def write_report(
    runs: Sequence[ReportedRun],
    path: str | Path,
    *,
    redact_text: bool = False,
    spans: str | Path | Sequence[Span | Mapping[str, Any]] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write runs as one HTML file, which needs no network; another report at `path` is written over.

    Args:
        redact_text: whether each token is replaced by its kind.
        spans: stretches of the first text, or a JSON file of them, or a list of what such a file holds.
        overwrite: whether a file that is no report is written over, too.

    Raises:
        InputError: spans that cannot be read.
        OutputError: the path cannot be written, or a file that is no report is there.
    """
    place = as_path("path", path)
    require_free_report(place, overwrite)
    named = as_spans(() if spans is None else spans)
    content = page_of(runs, redact_text=as_flag("redact_text", redact_text), spans=named)
    make_folder(place.parent)
    write_text(place, content)
    return place


def require_free_report(path: Path, overwrite: bool = False) -> None:
    """Whether a report may be written there.

    Raises:
        OutputError: it may not.
    """
    require_free(path, holds(b"<!DOCTYPE html>", b'content="keepmap"'), "a report of keepmap's", overwrite)


def page_of(
    runs: Sequence[ReportedRun], *, redact_text: bool = False, spans: Sequence[Span] = (), largest: int = LARGEST
) -> str:
    """The page as a string.

    Args:
        largest: bytes of arrays, beyond which scores and times are left out and the page says so.

    Raises:
        InputError: no run.
    """
    if not runs:
        raise InputError("expected `runs` to be one or more, got none")
    arrays = Arrays()
    documents, maps = [], list[PackedMap]()
    counts = []
    for run in runs:
        document, of_run = run_document(run, arrays, spans, redact_text, kept_elsewhere(run, runs))
        documents.append(document)
        maps += of_run
        counts.append(len(of_run))
    entries, left_out = add_maps(maps, arrays, largest)
    for document, count in zip(documents, counts, strict=True):
        document["maps"], entries = [entry for entry in entries[:count] if entry is not None], entries[count:]
    has_text = any(document["text"] is not None or {"generation", "answers"} & {*document} for document in documents)
    notes = [WITHOUT_TEXT if redact_text else WITH_TEXT] if has_text else []
    title = f"keepmap: {escaped(runs[0].title) if len(runs) == 1 else f'{len(runs)} runs'}"
    page = {
        "format": "keepmap-page/1",
        "title": title,
        "notes": [*notes, *([left_out] if left_out else []), f"Written by keepmap {__version__}; it needs no network."],
        "runs": documents,
    }
    content = json.dumps(page, ensure_ascii=True, allow_nan=False, sort_keys=True)
    for letter in "<>&":
        content = content.replace(letter, f"\\u{ord(letter):04x}")
    return filled({"title": html.escape(title), "document": content, "arrays": arrays.elements()})


def framed_page(value: Reportable, largest: int) -> str | None:
    """The page of a value as a frame for a notebook: sandboxed, so that nothing in it reaches the notebook.

    Args:
        largest: letters of the page, beyond which there is none.

    Returns:
        None where the page would be larger.
    """
    page = page_of([ReportedRun(value=value)], largest=largest)
    if len(page) > largest:
        return None
    return (
        f'<iframe sandbox="allow-scripts allow-downloads" title="{html.escape(kind_of_value(value))}" loading="lazy" '
        f'style="width:100%;height:{FRAME_HEIGHT}px;border:1px solid rgba(128,128,128,.4)" '
        f'srcdoc="{html.escape(page)}"></iframe>'
    )
