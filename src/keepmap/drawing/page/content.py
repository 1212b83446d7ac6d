"""A run as the page's document: any value that can be shown, with its text, its spans and its maps."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keepmap.core.files import plain
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays, packed_numbers
from keepmap.drawing.page.kinds import KINDS, kind_of_token
from keepmap.drawing.page.maps import PackedMap, packed_map
from keepmap.drawing.page.roles import role_spans
from keepmap.drawing.page.spans import Span
from keepmap.drawing.page.values.kinds import Asked, Reportable, kind_of_value, shown_value
from keepmap.drawing.page.values.shown import Shown
from keepmap.errors import escaped

__all__ = ["ReportedRun", "run_document"]

MOST_PLACES = 12
"""Of one span's text that are marked; where there are more, the page says so."""


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A value, and where it comes from.

    Attributes:
        name: what the page calls it: its folder; by default what kind of value it is.
        folder: that it can be read from again; None where it is in memory alone.
        command: the words that repeat it; none where it was called from Python.
        evicted: of a profile's context, what methods kept of it, by label.
        length: of the compressors that are shown at work on a history.
    """

    value: Reportable
    name: str = ""
    folder: str | None = None
    command: tuple[str, ...] = ()
    evicted: Mapping[str, KeepMap] = field(default_factory=dict)
    length: int | None = None

    @classmethod
    def of_folder(cls, value: Reportable, folder: Path, command: tuple[str, ...]) -> "ReportedRun":
        """A value whose files are in a folder."""
        return cls(value=value, name=folder.resolve().name, folder=str(folder), command=command)

    @property
    def title(self) -> str:
        """The name, or the kind of value."""
        return self.name or kind_of_value(self.value)


def run_document(
    run: ReportedRun,
    arrays: Arrays,
    spans: Sequence[Span],
    redact_text: bool,
    elsewhere: Mapping[str, KeepMap] | None = None,
) -> tuple[dict[str, Any], list[PackedMap]]:
    """What the page says of one run but its maps, and these packed, of which the first text's tokens are the axis.

    Args:
        elsewhere: of the same text, what other runs of the page show that methods kept, by label.
    """
    options = Asked(
        folder=run.folder, redact_text=redact_text, evicted=run.evicted, elsewhere=elsewhere or {}, length=run.length
    )
    shown = shown_value(run.value, arrays, options)
    n = len(shown.pieces) or next((keep_map.shape[2] for keep_map, _ in shown.keep_maps), 0)
    placed, missing = _placed(shown, n, spans)
    document = {
        "name": run.title,
        "kind": kind_of_value(run.value),
        "model": shown.model,
        "caption": shown.caption,
        "verdict": shown.verdict,
        "warnings": [*shown.warnings, *missing],
        "rows": plain(list(shown.rows)),
        "tables": [*([shown.table] if shown.table else []), *shown.more],
        "settings": [[name, _in_words(value)] for name, value in shown.settings.items() if value is not None],
        "command": shlex.join(["keepmap", *run.command[1:]]) if run.command else None,
        "python": "\n".join(["import keepmap", "", *shown.python]),
        "text": _text(shown.pieces, arrays, redact_text) if shown.pieces else None,
        "spans": [{"name": span.name, "start": start, "end": end} for span, (start, end) in placed],
        **shown.parts,
    }
    return document, [packed_map(keep_map, about) for keep_map, about in shown.keep_maps]


def _placed(shown: Shown, n: int, spans: Sequence[Span]) -> tuple[list[tuple[Span, tuple[int, int]]], list[str]]:
    """Where the spans are, those of a chat's roles before them; and of those that are nowhere, that they are."""
    placed, missing = [(span, (span.start, span.end)) for span in role_spans(shown.pieces)], []
    for span in spans:
        places = span.places(shown.pieces, n)
        placed += [(span, place) for place in places[:MOST_PLACES]]
        if not places:
            missing.append(f'No span "{escaped(span.name)}": it is not in the text, or the text is not here.')
        elif len(places) > MOST_PLACES:
            missing.append(f'Span "{escaped(span.name)}": the first {MOST_PLACES} of {len(places):,} places.')
    return placed, missing


def _text(pieces: Sequence[str], arrays: Arrays, redact_text: bool) -> dict[str, Any]:
    kinds = [kind_of_token(piece) for piece in pieces]
    shown = [f"⟨{kind}⟩" for kind in kinds] if redact_text else pieces
    # What is half of a letter in UTF-16 has no UTF-8: the page shows a sign in its place.
    shown = ["".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in piece) for piece in shown]
    lengths, about = packed_numbers(np.array([len(piece.encode("utf-16-le")) // 2 for piece in shown]))
    number, kinds_about = packed_numbers(np.array([KINDS.index(kind) for kind in kinds]))
    return {
        "letters": arrays.add_text("".join(shown)),
        "lengths": {"id": arrays.add(lengths), **about},
        "kinds": {"id": arrays.add(number), **kinds_about},
        "kind_names": list(KINDS),
    }


def _in_words(value: Any) -> str:
    """A setting in words; what is the same for every method is said once."""
    if isinstance(value, Mapping):
        different = {json.dumps(item) for item in value.values()}
        if len(different) == 1:
            return _in_words(next(iter(value.values())))
        return ", ".join(f"{name} {_in_words(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
