"""The name under which a model is shown: in figures, captions and reprs alike."""

import re
from pathlib import PureWindowsPath

from keepmap.errors import on_one_line

__all__ = ["model_label"]


def model_label(name: object) -> str:
    """The name under which a model or an agent is shown; `unnamed` where it has none.

    Of a folder, a file or a hub id it is the last part: where somebody keeps a model is in no title. A checkpoint is
    called after its run, too. What a terminal would obey in it is escaped.

    >>> model_label("/home/me/runs/distilled/"), model_label("tiny"), model_label(None)
    ('distilled', 'tiny', 'unnamed')
    >>> model_label("runs/AD-darkroom-seed0/ckpt-1500")
    'AD-darkroom-seed0/ckpt-1500'
    """
    text = str(name or "unnamed")
    path = PureWindowsPath(text)  # which reads both slashes
    run = path.parent.name if re.fullmatch(r"(ckpt|checkpoint)-\d+", path.name) else ""
    return on_one_line(f"{run}/{path.name}" if run else path.name or text)
