"""Time kvpress 0.5.5 token by token, in an environment of its own: it caps transformers below 5.3.

    python -m venv kvpress-venv
    kvpress-venv/bin/pip install torch==2.13.0
    kvpress-venv/bin/pip install kvpress==0.5.5
    kvpress-venv/bin/python benchmarks/kvpress_decode.py --n 1024

DMSPress decides with a threshold: the one that about `density` of the key norms of a dense pass reach. Prints one line
of JSON.
"""

import argparse
import json
import statistics
import time
from importlib.metadata import version
from typing import Any

import torch

from shapes import TINY, random_llama, random_tokens

WINDOW = 128


@torch.no_grad()
def threshold_for(model: Any, input_ids: torch.Tensor, density: float) -> float:
    """The score -||k|| that a share `density` of all entries reaches; the rotation leaves norms alone."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    model(input_ids[None], past_key_values=cache, use_cache=True)
    scores = torch.cat([-layer.keys.norm(dim=-1).flatten() for layer in cache.layers])
    return float(scores.sort().values[int((1 - density) * scores.numel())])


@torch.no_grad()
def decode(model: Any, input_ids: torch.Tensor, threshold: float) -> float:
    """One token at a time; the share of compressible entries that were kept at the end."""
    from kvpress import DMSPress, KnormPress
    from transformers import DynamicCache

    press = DMSPress(KnormPress(), threshold=threshold, sliding_window_size=WINDOW, decoding=True)
    n = input_ids.numel()
    with press(model):
        cache = DynamicCache(config=model.config)
        for step in range(n):
            model(input_ids[None, step : step + 1], past_key_values=cache, use_cache=True)
        evicted = sum(press.compression_ratios.values()) / len(press.compression_ratios)
    return 1 - evicted * n / (n - WINDOW)


def main() -> None:
    """Time it and print seconds, density and versions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--density", type=float, default=0.2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    model = random_llama(TINY)
    input_ids = random_tokens(TINY, options.n)
    threshold = threshold_for(model, input_ids, options.density)
    decode(model, input_ids[: WINDOW + 32], threshold)
    seconds, density = [], 0.0
    for _ in range(options.repeats):
        start = time.perf_counter()
        density = decode(model, input_ids, threshold)
        seconds.append(time.perf_counter() - start)
    by_name = {
        "seconds": statistics.median(seconds),
        "density": density,
        "kvpress": version("kvpress"),
        "transformers": version("transformers"),
        "torch": version("torch"),
    }
    print(json.dumps(by_name))


if __name__ == "__main__":
    main()
