"""Collect learning histories: the same as `keepmap collect`, under the name that old commands use."""

import sys

from keepmap.cli import main

if __name__ == "__main__":
    sys.exit(main(["collect", *sys.argv[1:]]))
