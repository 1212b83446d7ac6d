"""How much memory attention weights or their profile take beside the model: one line of JSON, bytes."""

import argparse
import json

import torch

import keepmap
from memory_probe import memory
from shapes import TINY, random_llama, random_tokens


@torch.no_grad()
def main() -> None:
    """Run one pass and print the memory before it and at its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--how", choices=["profile", "eager"], required=True)
    options = parser.parse_args()
    model = random_llama(TINY)
    if options.how == "eager":
        model.set_attn_implementation("eager")
    language_model = keepmap.load_language_model(model, device="cpu")

    def run(n: int) -> None:
        ids = random_tokens(TINY, n)
        if options.how == "eager":
            weights = model(ids[None], output_attentions=True, use_cache=False).attentions
            assert len(weights) == TINY["num_hidden_layers"]
        else:
            profile = keepmap.profile_attention(language_model, ids)
            assert profile.shape[2] == n

    run(256)  # code that torch loads at its first use is no part of the figure
    before = memory("VmRSS")
    run(options.n)
    print(json.dumps({"before": before, "peak": memory("VmHWM")}))


if __name__ == "__main__":
    main()
