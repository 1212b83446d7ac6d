"""The options of `keepmap check-method`; as those of the other verbs in `options`, read by the parser."""

from typing import Annotated

import tyro

from keepmap.cli.options import record

__all__ = ["CheckMethod"]

File = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]


@record
class CheckMethod:
    """Check a KV method of your own: a line for each thing that a method has to be, and what to do where it is not.

    The embedded model and inputs that are made up; nothing is downloaded, and it takes seconds.
    """

    file: File = ""
    """A Python file that defines one method, as for --plugin. It is run: name only a file that you trust."""
    reference: str | None = None
    """Another such file, with a slow form of the method under a name of its own, whose scores have to be the same."""
