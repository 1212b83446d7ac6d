"""How much memory reading a long text takes beside the model: one line of JSON, bytes. Run by bench_cache.py."""

import argparse
import json
from pathlib import Path

import torch
from transformers import DynamicCache

import keepmap
from bench_compare import documentation
from memory_probe import memory


def main() -> None:
    """Read once and print the memory before it and at its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--density", type=float, required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--method", help="none: a dense prefill")
    options = parser.parse_args()
    language_model = keepmap.load_language_model(options.model_name, device="cpu")
    ids = documentation(language_model, options.n)

    def read(part: torch.Tensor) -> object:
        if options.method is None:
            with torch.no_grad():
                return language_model.model(part[None], past_key_values=DynamicCache(), logits_to_keep=1)
        rule = {"density": options.density, "window": options.window}
        return keepmap.compress(language_model, part, options.method, **rule)

    # A short text first: code that is loaded at its first use is no part of the figure.
    read(ids[: min(len(ids), options.window + 64)])
    _forget_peak()
    before = memory("VmRSS")
    result = read(ids)
    print(json.dumps({"before": before, "peak": memory("VmHWM"), "result": type(result).__name__}))


def _forget_peak() -> None:
    """Loading a model may have taken more than it holds."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # too high a figure, never too low


if __name__ == "__main__":
    main()
