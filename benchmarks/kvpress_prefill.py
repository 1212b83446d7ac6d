"""Time kvpress 0.5.5: one dense prefill with each press, in an environment of its own (see kvpress_decode.py).

Prints one line of JSON: seconds by press, and versions. Imports nothing of keepmap.
"""

import argparse
import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PRESSES = (
    "RandomPress",
    "StreamingLLMPress",
    "KnormPress",
    "SnapKVPress",
    "ExpectedAttentionPress",
    "ObservedAttentionPress",
)
EAGER = {"ObservedAttentionPress"}
"""These read attention weights, which only eager attention gives."""


@torch.no_grad()
def prefill(model: Any, input_ids: torch.Tensor, press: Any) -> float:
    """Seconds of one prefill, the press's decision included; no logits."""
    from transformers import DynamicCache

    start = time.perf_counter()
    if press is None:
        model.model(input_ids[None], past_key_values=DynamicCache(config=model.config))
    else:
        with press(model):
            model.model(input_ids[None], past_key_values=DynamicCache(config=model.config))
    return time.perf_counter() - start


def main() -> None:
    """Time all of them in turns and print."""
    import kvpress
    from transformers import AutoModelForCausalLM

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", required=True)
    parser.add_argument("--ids", required=True, help="a JSON file of token ids")
    parser.add_argument("--density", type=float, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    ids = torch.tensor(json.loads(Path(options.ids).read_text(encoding="utf-8")))
    model = AutoModelForCausalLM.from_pretrained(options.model_path, dtype=torch.float32).eval()
    work = {"dense": None} | {name: getattr(kvpress, name)(compression_ratio=1 - options.density) for name in PRESSES}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    prefill(model, ids[:256], None)
    for _ in range(options.repeats):
        for name, press in work.items():
            model.set_attn_implementation("eager" if name in EAGER else "sdpa")
            seconds[name].append(prefill(model, ids, press))
    result = {
        "seconds": {name: statistics.median(taken) for name, taken in seconds.items()},
        "kvpress": version("kvpress"),
        "transformers": version("transformers"),
        "torch": version("torch"),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
