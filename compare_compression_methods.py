"""Compare KV-cache compression methods: the same as `keepmap compare`, under the name that old commands use."""

import sys

from keepmap.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
