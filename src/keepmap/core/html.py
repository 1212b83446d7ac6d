"""What a value shows of itself in a notebook: a caption, a small table and strips of colour, without any script.

Colours of text and background stay the notebook's, light or dark. Every text is escaped: names and tokens are data.

R rows · N positions · C columns.
"""

import base64
import html
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from keepmap.errors import escaped

__all__ = ["DARK_TO_LIGHT", "EVICTED_TO_KEPT", "card", "number", "shares", "strip"]

EVICTED_TO_KEPT = ("#C23B0A", "#4BD5A7")
"""The colours of what was evicted and of what was kept, as the figures have them."""

DARK_TO_LIGHT = ("#440154", "#FDE725")
"""The two ends of viridis, for what is neither good nor bad."""

LEVELS = 32
MOST_CELLS = 8192
MOST_COLUMNS = 256
MOST_ROWS = 16
MOST_LETTERS = 600

_TABLE = "border-collapse:collapse;font-size:90%;margin:4px 0;color:inherit"
_CELL = "padding:1px 8px;text-align:right;border:1px solid rgba(128,128,128,.4)"


def card(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], strips: Sequence[str] = ()) -> str:
    """A caption, a table (of many rows, the first and the last ones) and what `strip` made."""
    half = MOST_ROWS // 2
    caption = caption if len(caption) <= MOST_LETTERS else caption[: MOST_LETTERS - 1] + "…"
    shown = [_row("td", row) for row in rows]
    if len(rows) > MOST_ROWS:
        between = f'<tr><td colspan="{len(head)}" style="{_CELL}">… {len(rows) - 2 * half} more …</td></tr>'
        shown = [*shown[:half], between, *shown[-half:]]
    return (
        f'<div style="max-width:900px"><div><b>{_text(caption)}</b></div>'
        f'<table style="{_TABLE}"><thead>{_row("th", head)}</thead><tbody>{"".join(shown)}</tbody></table>'
        f"{''.join(strips)}</div>"
    )


def strip(
    values: Float[np.ndarray, "R C"],
    label: str,
    colours: tuple[str, str] = DARK_TO_LIGHT,
    ends: tuple[str, str] = ("0", "1"),
    square: bool = False,
) -> str:
    """A picture of numbers in [0, 1], a pixel each, below a label; NaN is transparent, and of no numbers is no picture.

    Args:
        colours: of 0 and of 1, and `ends` is what these mean.
        square: cells as wide as they are high, else the picture is as wide as there is room.
    """
    if not values.size:
        return ""
    rows, columns = values.shape
    side = max(3, min(12, 240 // max(1, rows)))
    width = f"{columns * side}px;max-width:100%" if square else "100%"
    words = _text(label)
    key = " ".join(
        f'<span style="display:inline-block;width:10px;height:10px;background:{colour}"></span> {_text(end)}'
        for colour, end in zip(colours, ends, strict=True)
    )
    return (
        f'<div style="font-size:90%;margin-top:4px">{words} ({key})</div>'
        f'<img alt="{words}" src="data:image/png;base64,{base64.b64encode(_png(values, colours)).decode()}" '
        f'style="width:{width};height:{rows * side}px;image-rendering:pixelated;display:block">'
    )


def shares(mask: Bool[np.ndarray, "R ... N"]) -> Float[np.ndarray, "R C"]:
    """The share of each cell's entries that are true, in so few columns that the picture stays small."""
    rows, n = mask.shape[0], mask.shape[-1]
    if not mask.size:
        return np.zeros((rows, 0))
    columns = max(1, min(n, MOST_COLUMNS, MOST_CELLS // max(1, rows)))
    edges = np.arange(columns + 1) * n // columns
    per_position = mask.reshape(rows, -1, n).mean(axis=1)
    return np.add.reduceat(per_position, edges[:-1], axis=1) / np.diff(edges)


def number(value: float) -> str:
    """A number for the table; a dash for none."""
    return "–" if math.isnan(value) else f"{value:.3g}"


def _text(text: str) -> str:
    """A text of whoever's, as a page shows it."""
    return html.escape(escaped(text))


def _row(kind: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f'<{kind} style="{_CELL}">{_text(cell)}</{kind}>' for cell in cells) + "</tr>"


def _png(values: Float[np.ndarray, "R C"], colours: tuple[str, str]) -> bytes:
    """An 8-bit PNG with a palette of shades; only what is 0 has the first one, so that little is told from nothing."""
    shade = np.where(np.isnan(values), LEVELS, np.ceil(np.nan_to_num(values) * (LEVELS - 1))).astype(np.uint8)
    lines = np.pad(shade, ((0, 0), (1, 0)))  # each line starts with its filter: 0, none
    transparent = bytes([255] * LEVELS + [0])
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 3, 0, 0, 0)),
            (b"PLTE", _palette(colours).tobytes() + b"\x80\x80\x80"),
            (b"tRNS", transparent),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def _palette(colours: tuple[str, str]) -> UInt8[np.ndarray, "levels 3"]:
    low, high = (np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8) / 255 for colour in colours)
    share = np.linspace(0.0, 1.0, LEVELS)[:, None]
    mixed = (1 - share) * low**1.5 + share * high**1.5  # lightness grows in even steps
    return np.round(mixed ** (1 / 1.5) * 255).astype(np.uint8)
