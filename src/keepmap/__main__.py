"""`python -m keepmap`: the same as `keepmap`."""

import sys

from keepmap.cli import main

if __name__ == "__main__":
    sys.exit(main())
