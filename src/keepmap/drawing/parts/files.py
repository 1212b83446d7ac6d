"""A figure written as PNG, SVG or PDF: whole or not at all, and the same bytes for the same figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from keepmap.core.arguments import as_path, as_string, shown
from keepmap.core.files import make_folder, written_whole
from keepmap.core.storage.own import holds, require_free
from keepmap.drawing.parts.arguments import AxesLike, flat_axes
from keepmap.drawing.parts.style import figure_style
from keepmap.errors import InputError, did_you_mean

__all__ = ["FORMATS", "picture_formats", "save_figure", "whole_figure"]

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
"""What a file of each format begins with."""
FORMATS = tuple(STARTS)


def save_figure(
    figure: Figure | AxesLike,
    folder: str | Path,
    stem: str,
    formats: str | Sequence[str] = ("png",),
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write a figure as `folder/stem.<format>`, once for each format; figures of keepmap's are written over.

    The figure's label (for the project's figures: what was drawn and with which parameters) goes into the file as its
    title; no date does. The figure stays open.

    Args:
        figure: the Figure, or Axes of it: what any of the functions of `keepmap.draw` returns.
        folder: where the files go; made where it is missing.
        stem: the files' name without its ending.
        formats: of "png", "svg" and "pdf"; a string may name several, with commas.
        overwrite: whether a file that is no figure of keepmap's is written over, too.

    Returns:
        The paths, in the order of the formats.

    Raises:
        InputError: an unknown format, or none; no figure, or Axes of several; nothing is written then.
        OutputError: the folder or a file cannot be written, or a file that is no figure of keepmap's is there.

    >>> from tempfile import TemporaryDirectory
    >>> from matplotlib.figure import Figure
    >>> from keepmap.draw import save_figure
    >>> with TemporaryDirectory() as folder:
    ...     [path.name for path in save_figure(Figure().add_subplot(), folder, "empty", "png,svg")]
    ['empty.png', 'empty.svg']
    """
    figure = whole_figure(figure)
    names = picture_formats(formats)
    folder, stem = make_folder(as_path("folder", folder)), as_string("stem", stem)
    paths = [folder / f"{stem}.{name}" for name in names]
    for name, path in zip(names, paths, strict=True):
        require_free(path, holds(STARTS[name], b"keepmap"), "a figure of keepmap's", overwrite)
    for name, path in zip(names, paths, strict=True):
        with written_whole(path) as temporary, figure_style():
            figure.savefig(temporary, format=name, dpi=figure.dpi, metadata=dict(_metadata(figure, name)))
    return paths


def picture_formats(formats: str | Sequence[str]) -> list[str]:
    """The formats, each once and in small letters; a string may name several, with commas or spaces.

    Raises:
        InputError: an unknown format, or none.
    """
    if isinstance(formats, str):
        formats = formats.replace(",", " ").split()
    if not isinstance(formats, Sequence) or not all(isinstance(name, str) for name in formats):
        raise InputError(f"expected `formats` to be names such as {', '.join(FORMATS)}, got {shown(formats)}")
    names = [name.strip().lower().lstrip(".") for name in formats]
    if not names:
        raise InputError(f"`formats` is empty; name one or more of {', '.join(FORMATS)}")
    for name in names:
        if name not in FORMATS:
            raise InputError(f'the format "{name}" is not supported: {did_you_mean(name, FORMATS)}')
    return list(dict.fromkeys(names))


def whole_figure(drawn: Figure | AxesLike) -> Figure:
    """The figure that Axes stand on; of a subfigure's, the one that holds it.

    Raises:
        InputError: no figure and no Axes, or Axes of several figures.
    """
    if isinstance(drawn, Figure):
        return drawn
    axes = flat_axes("figure", drawn, "a Figure, Axes or a sequence of Axes")
    figures = {id(root): root for ax in axes if (root := ax.get_figure(root=True)) is not None}
    if len(figures) != 1:
        raise InputError(
            f"expected `figure` to be Axes of one figure, got those of {len(figures)}; save each by itself"
        )
    return next(iter(figures.values()))


def _metadata(figure: Figure, name: str) -> Mapping[str, str | None]:
    """What a format can carry; None takes out what matplotlib would write by itself (a date, its version)."""
    title = str(figure.get_label()) or "keepmap figure"
    if name == "png":
        return {"Title": title, "Software": "keepmap"}
    if name == "svg":
        return {"Title": title, "Creator": "keepmap", "Date": None}
    return {"Title": title, "Creator": "keepmap", "Producer": None, "CreationDate": None}
