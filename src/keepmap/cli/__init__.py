"""The command line: verbs only, each a few lines into the package."""

from keepmap.cli.main import main

__all__ = ["main"]
