"""The options of the verbs that read runs: `keepmap report` and `keepmap runs`."""

from typing import Annotated

import tyro

from keepmap.cli.options import Flag, record

__all__ = ["Report", "Runs"]

Folder = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
Folders = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR [RUN_DIR ...]")]


@record
class Report:
    """Write one HTML page of runs, which opens offline in any browser.

    Folders of results of `keepmap compare`, `attention`, `evaluate`, `study`, `generate`, `tasks` or `sweep`; several
    share one page.
    """

    run_dirs: Folders = ()
    """Folders of results, one or more."""
    out: str = "report.html"
    """The file to write; another report there is replaced."""
    redact_text: Flag = False
    """Replace each token of the texts by its kind. Default: the first text of each run is in the file."""
    spans: str | None = None
    """A JSON file of named stretches of the first text: [{"name": "answer", "start": 10, "end": 14}], in tokens, or
    with "text" in place of both."""
    overwrite: Flag = False
    """Write over a file that is there and is no report of keepmap's."""


@record
class Runs:
    """List runs: how far each is, and the command that goes on with it.

    A run's folder says in its run.json which run it is.
    """

    folder: Folder = "."
    """Where to look, and in the folders below."""
