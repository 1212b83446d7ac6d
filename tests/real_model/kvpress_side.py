"""Run by a Python that has kvpress: what its presses keep of one prefill. It imports nothing of keepmap.

python kvpress_side.py MODEL_FOLDER IDS.safetensors RATIO OUT.safetensors
"""

import sys

import torch
from kvpress import (
    AdaKVPress,
    CriticalKVPress,
    CURPress,
    ExpectedAttentionPress,
    KeyDiffPress,
    KnormPress,
    KVzipPress,
    LagKVPress,
    ObservedAttentionPress,
    SnapKVPress,
    StreamingLLMPress,
    TOVAPress,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, DynamicCache


def main(folder: str, ids_file: str, ratio: str, out: str) -> None:
    """Write the kept positions [L, G, kept] of each press, sorted; of presses that mask, bool [L, G, N]."""
    ids = load_file(ids_file)["ids"]
    presses = {
        "snapkv": SnapKVPress(float(ratio)),
        "tova": TOVAPress(float(ratio)),
        "keydiff": KeyDiffPress(float(ratio)),
        "streaming_llm": StreamingLLMPress(float(ratio), n_sink=4),
        "key_norm": KnormPress(float(ratio)),
        "cur": CURPress(float(ratio)),
        "observed_attention": ObservedAttentionPress(float(ratio)),
        "criticalkv": CriticalKVPress(KeyDiffPress(float(ratio))),
        "expected_attention_anew": ExpectedAttentionPress(float(ratio), n_future_positions=512, n_sink=4),
        # 122 are four sinks, a tail of 28, and the best three of each of 30 parts.
        "lagkv": LagKVPress(1 - 122.5 / ids.numel(), n_sink=4, lag_size=16),
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
    masking = {"keydiff by layer": AdaKVPress(KeyDiffPress(float(ratio))), "kvzip": KVzipPress(float(ratio), n_sink=4)}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    for name, press in masking.items():
        with torch.no_grad(), press(model):
            model(ids[None], past_key_values=DynamicCache())
        attentions = [layer.self_attn for layer in model.model.layers]
        kept[name] = torch.ones(len(attentions), model.config.num_key_value_heads, ids.numel(), dtype=torch.bool)
        for layer, attention in enumerate(attentions):
            _, heads, positions = attention.masked_key_indices
            kept[name][layer, heads, positions] = False
            attention.masked_key_indices = None
    save_file(kept, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
