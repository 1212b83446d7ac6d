"""A figure written as PNG, SVG or PDF: whole or not at all, and the same bytes for the same figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from keepmap.core.files import make_folder, written_whole
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import InputError, did_you_mean

__all__ = ["FORMATS", "picture_formats", "save_figure"]

FORMATS = ("png", "svg", "pdf")


def save_figure(figure: Figure, folder: str | Path, stem: str, formats: str | Sequence[str] = ("png",)) -> list[Path]:
    """Write `folder/stem.<format>` for each format ("png", "svg", "pdf"; a string may name several, with commas).

    The figure's label (for the project's figures: what was drawn and with which parameters) goes into the file as its
    title; no date does. The figure stays open.

    Returns:
        The paths, in the order of the formats.

    Raises:
        InputError: an unknown format, or none; nothing is written then.
        OutputError: the folder or a file cannot be written.
    """
    wanted = picture_formats(formats)
    folder = make_folder(Path(folder))
    paths = []
    for name in wanted:
        path = folder / f"{stem}.{name}"
        with written_whole(path) as temporary, figure_style():
            figure.savefig(temporary, format=name, dpi=figure.dpi, metadata=dict(_metadata(figure, name)))
        paths.append(path)
    return paths


def picture_formats(formats: str | Sequence[str]) -> list[str]:
    """The formats, each once and in small letters; a string may name several, with commas or spaces.

    Raises:
        InputError: an unknown format, or none.
    """
    names = formats.replace(",", " ").split() if isinstance(formats, str) else formats
    wanted = [name.strip().lower().lstrip(".") for name in names]
    if not wanted:
        raise InputError(f"a figure was to be saved in no format; name one of {', '.join(FORMATS)}")
    for name in wanted:
        if name not in FORMATS:
            raise InputError(
                f'a figure was to be saved as "{name}", which is not a format: {did_you_mean(name, FORMATS)}'
            )
    return list(dict.fromkeys(wanted))


def _metadata(figure: Figure, name: str) -> Mapping[str, str | None]:
    """What a format can carry; None takes out what matplotlib would write by itself (a date, its version)."""
    title = str(figure.get_label()) or "keepmap figure"
    if name == "png":
        return {"Title": title, "Software": "keepmap"}
    if name == "svg":
        return {"Title": title, "Creator": "keepmap", "Date": None}
    return {"Title": title, "Creator": "keepmap", "Producer": None, "CreationDate": None}
