"""A tokenizer of letters and small texts for the tests of training."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

__all__ = ["Letters", "random_llama"]


class Letters:
    """A tokenizer of letters, with a token before every text, or with a chat template."""

    def __init__(self, chat_template: str | None = None) -> None:
        self.chat_template = chat_template

    def __call__(self, text: str, add_special_tokens: bool = True, verbose: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1] * add_special_tokens + [ord(letter) % 90 + 2 for letter in text]}

    def encode(self, text: str) -> list[int]:
        return self(text)["input_ids"]

    def apply_chat_template(self, turns: list[dict[str, str]], tokenize: bool) -> str:
        return "".join(f"[{turn['role']}]{turn['content']}[end]" for turn in turns)


def random_llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()
