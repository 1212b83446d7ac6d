"""The models that are timed: real shapes, random weights, made from a seed. Imports nothing of keepmap."""

from typing import Any

import torch

__all__ = ["LLAMA_8B", "TINY", "random_llama", "random_tokens"]

# embedded/tiny/config.json, with what matters to time.
TINY: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "tie_word_embeddings": True,
}
LLAMA_8B: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
    "tie_word_embeddings": False,
}


def random_llama(shape: dict[str, Any], device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """A Llama of this shape with random weights, in eval mode, attending with SDPA."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**shape, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return model.eval()


def random_tokens(shape: dict[str, Any], n: int) -> torch.Tensor:
    """Token ids [n]."""
    generator = torch.Generator().manual_seed(n)
    return torch.randint(3, shape["vocab_size"], (n,), generator=generator)
