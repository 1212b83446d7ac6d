"""Run by a Python that has kvpress: what its presses keep of one prefill. It imports nothing of keepmap.

python kvpress_side.py MODEL_FOLDER IDS.safetensors RATIO OUT.safetensors
"""

import sys

import torch
from kvpress import (
    CURPress,
    KeyDiffPress,
    KnormPress,
    ObservedAttentionPress,
    SnapKVPress,
    StreamingLLMPress,
    TOVAPress,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM


def main(folder: str, ids_file: str, ratio: str, out: str) -> None:
    """Write the kept positions [L, G, kept] of each press, sorted."""
    ids = load_file(ids_file)["ids"]
    presses = {
        "snapkv": SnapKVPress(float(ratio)),
        "tova": TOVAPress(float(ratio)),
        "keydiff": KeyDiffPress(float(ratio)),
        "streaming_llm": StreamingLLMPress(float(ratio), n_sink=4),
        "key_norm": KnormPress(float(ratio)),
        "cur": CURPress(float(ratio)),
        "observed_attention": ObservedAttentionPress(float(ratio)),
    }
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    kept = {}
    for name, press in presses.items():
        scores = []
        own = press.score

        def noted(*arguments, own=own, scores=scores):
            scores.append(own(*arguments))
            return scores[-1]

        press.score = noted
        with torch.no_grad(), press(model):
            cache = model(ids[None], use_cache=True).past_key_values
        held = cache.layers[0].keys.shape[2]
        kept[name] = torch.stack([score[0].topk(held, dim=-1).indices.sort(dim=-1).values for score in scores])
    save_file(kept, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
