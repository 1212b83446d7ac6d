"""The `keepmap` command: parse, call, and turn errors into one line and an exit code."""

import sys
from collections.abc import Sequence

from keepmap import __version__
from keepmap.cli.guard import Option, guarded, naming_options
from keepmap.cli.signals import unwinding

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Returns 0, 2 after an error of the user's (one line on stderr), 130 after Ctrl-C: see `guarded`."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    return guarded(lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in ("--version", "-V"):
        print(f"keepmap {__version__}")
        return 0
    # What a verb needs is imported after its arguments were understood: help and errors answer at once.
    from keepmap.cli.parsing import parse

    parsed = parse(arguments)
    if parsed is None:
        return 0
    verb, options = parsed
    from keepmap.core.joining.plugins import load_plugins, plugin_faults
    from keepmap.core.outside.output import escaped_output
    from keepmap.core.runs.command import typing

    with naming_options([Option("plugin", "path")], arguments):
        load_plugins(getattr(options, "plugin", ()))
    typed = typing(["keepmap", *arguments])
    with naming_options(verb.named(), arguments), plugin_faults(), escaped_output(), typed:
        verb.check(options)
        if getattr(options, "model_name", None) is not None:
            from keepmap.language_model import quiet_transformers

            quiet_transformers()
        function = verb.function()
        with unwinding():
            function(**verb.arguments(options))
    return 0
