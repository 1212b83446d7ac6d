"""Train an Algorithm Distillation agent: `python train.py --set n_transit=80`; the same as `keepmap train`."""

import sys

from keepmap.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
