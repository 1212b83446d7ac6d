"""The name under which a model is shown: in figures, captions and reprs alike."""

from pathlib import PureWindowsPath

from keepmap.errors import escaped

__all__ = ["model_label"]


def model_label(name: object) -> str:
    """The name under which a model or an agent is shown; `unnamed` where it has none.

    Of a folder, a file or a hub id it is the last part: where somebody keeps a model is in no title. What a terminal
    would obey in it is escaped.

    >>> model_label("/home/me/runs/distilled/"), model_label("tiny"), model_label(None)
    ('distilled', 'tiny', 'unnamed')
    """
    text = str(name or "unnamed")
    return escaped(PureWindowsPath(text).name or text)  # which reads both slashes
