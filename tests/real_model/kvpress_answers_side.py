"""Run by a Python that has kvpress, without keepmap: what a model answers once each press has cut its context.

python kvpress_answers_side.py MODEL_FOLDER PROMPTS.json ANSWERS.json
"""

import json
import sys
from pathlib import Path

import torch
from kvpress import ExpectedAttentionPress, KnormPress, SnapKVPress, StreamingLLMPress
from transformers import AutoModelForCausalLM, DynamicCache

PRESSES = {
    "snapkv": SnapKVPress,
    "expected_attention": ExpectedAttentionPress,
    "key_norm": KnormPress,
    "streaming_llm": lambda ratio: StreamingLLMPress(ratio, n_sink=4),
}


def answer(model, press, prompt: dict, ends: set[int]) -> list[int]:
    """Tokens that a model says greedily, after a context that the press has cut; kept keys have their own positions."""
    cache, context, tokens = DynamicCache(), torch.tensor([prompt["context"]]), []
    with torch.no_grad():
        with press(model):
            model(context, past_key_values=cache)
        new, at = torch.tensor([prompt["question"]]), context.shape[1]
        while True:
            positions = torch.arange(at, at + new.shape[1])[None]
            token = int(model(new, past_key_values=cache, position_ids=positions).logits[0, -1].argmax())
            if token in ends:
                return tokens
            tokens.append(token)
            if len(tokens) == prompt["most"]:
                return tokens
            at, new = at + new.shape[1], torch.tensor([[token]])


def main(folder: str, prompts_file: str, out: str) -> None:
    """Write press -> ratio -> the answer to each prompt."""
    given = json.loads(Path(prompts_file).read_text(encoding="utf-8"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    answers = {
        name: {
            str(ratio): [answer(model, press(ratio), prompt, set(given["ends"])) for prompt in given["prompts"]]
            for ratio in given["ratios"]
        }
        for name, press in PRESSES.items()
    }
    Path(out).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
