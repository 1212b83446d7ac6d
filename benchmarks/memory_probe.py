"""How much memory an evicting pass takes beside the model: one line of JSON, bytes. Run by bench_evict.py."""

import argparse
import json
import resource
import sys
from pathlib import Path

import keepmap
from shapes import TINY, random_llama, random_tokens


def memory(field: str) -> int:
    """This process's `VmRSS` (now) or `VmHWM` (at most so far), in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024
    # Elsewhere only the maximum is known: right at the end, and too high (never too low) before.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    """Run one pass and print the memory before it and at its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--density", type=float, required=True)
    parser.add_argument("--method", default="key_norm")
    options = parser.parse_args()
    language_model = keepmap.load_language_model(random_llama(TINY), device="cpu")
    # A short pass first: code that torch loads at its first use is no part of the figure.
    keepmap.evict(language_model, random_tokens(TINY, 256), options.method, density=options.density)
    before = memory("VmRSS")
    eviction = keepmap.evict(language_model, random_tokens(TINY, options.n), options.method, density=options.density)
    logits = eviction.logits
    assert logits.shape == (options.n, TINY["vocab_size"])
    density = eviction.keep_map.compressible_density()
    print(json.dumps({"before": before, "peak": memory("VmHWM"), "density": density}))


if __name__ == "__main__":
    main()
