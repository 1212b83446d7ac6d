"""Evaluate an agent on the goals that its training never saw: the same as `keepmap evaluate`."""

import sys

from keepmap.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
