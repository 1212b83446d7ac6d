"""`python -m tests.fuzz [NAME ...]`: damaged files, changed values and odd options, for some seconds or of one seed."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PATIENCE = 5.0
"""Times the seconds of processor that this may take in all, on a machine that does other things, too."""
USAGE = "python -m tests.fuzz {name} --seed {seed} --last {seed}"


def main() -> int:
    """Fuzz; returns 1 where something was tally, of which it prints how it is repeated."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="such as keep-map/bytes or options/compare; all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="of processor, for all of them together")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--last", type=int, default=None, help="the last one")
    parser.add_argument("--part", default="0/1", help="i/n: every n-th pair of the names, from the i-th")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keepmap-fuzz-") as place:
        _settle(Path(place))
        return _fuzz(options, Path(place))


def _settle(place: Path) -> None:
    """Caches of this process lie in its place, and nothing is looked for on a hub."""
    sys.dont_write_bytecode = True
    for variable in ("KEEPMAP_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        os.environ[variable] = str(place / "caches")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TMPDIR": str(place), "COLUMNS": "80"}
    tempfile.tempdir = str(place)


def _fuzz(options: argparse.Namespace, place: Path) -> int:
    import torch

    from tests.fuzz.children import computed, in_children
    from tests.fuzz.ways import ways

    torch.set_num_threads(1)
    every = ways()
    part, parts = map(int, options.part.split("/"))
    # Both ways of a target are in one part, which makes its files once.
    names = options.names or [name for at, name in enumerate(every) if at // 2 % parts == part]
    total, faults = Counter[str](), Counter[str]()
    begun, deadline = computed(), time.monotonic() + PATIENCE * options.seconds
    for at, name in enumerate(names):
        if time.monotonic() > deadline:
            print(f"the machine is too busy: not tried are {', '.join(names[at:])}", flush=True)
            break
        share = max(0.0, options.seconds - (computed() - begun)) / (len(names) - at)
        tally = in_children(every[name](place), options.seed, options.last, share, place)
        total.update(read=tally.read, refused=tally.refused, faults=len(tally.faults))
        print(f"{name:<24} {tally.read:>7,} read {tally.refused:>7,} refused", flush=True)
        for seed, fault in tally.faults.items():
            faults[f"{name}: {fault['kind']}"] += 1
            if faults[f"{name}: {fault['kind']}"] > 2:
                continue
            print(f"FAULT {fault['kind']}: {fault['what']}\n  again: {USAGE.format(name=name, seed=seed)}", flush=True)
            print("\n".join(f"  | {line}" for line in fault["text"].splitlines()[-12:]), flush=True)
    cases = total["read"] + total["refused"] + total["faults"]
    print(
        f"{cases:,} cases: {total['read']:,} read, {total['refused']:,} refused in a line, {total['faults']:,} faults"
    )
    return 1 if total["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
