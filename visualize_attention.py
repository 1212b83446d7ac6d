"""Show what an agent, or a language model, attends to: the same as `keepmap attention`."""

import sys

from keepmap.cli import main

if __name__ == "__main__":
    sys.exit(main(["attention", *sys.argv[1:]]))
