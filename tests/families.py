"""Tiny random models of every family that the evicting attention supports, made from configs: no network, no files."""

import math
from collections.abc import Callable

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

__all__ = ["FAMILIES", "SLIDING", "VOCABULARY", "build", "tokens"]

VOCABULARY = 397
SLIDING = 24
"""The window of the families' own sliding layers: shorter than every text of the tests."""

_TOKENS: dict[str, object] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SIZES: dict[str, object] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    **_TOKENS,
}


def _llama(kv_heads: int = 2, **rope: object) -> LlamaConfig:
    return LlamaConfig(**_SIZES | {"num_key_value_heads": kv_heads} | ({"rope_parameters": rope} if rope else {}))


def _gemma2() -> Gemma2Config:
    return Gemma2Config(
        **_SIZES | {"num_hidden_layers": 3},
        head_dim=8,
        query_pre_attn_scalar=6,
        attn_logit_softcapping=3.0,
        final_logit_softcapping=20.0,
        sliding_window=SLIDING,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )


def _gemma3() -> Gemma3TextConfig:
    return Gemma3TextConfig(
        **_SIZES | {"num_hidden_layers": 3},
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=SLIDING,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 20_000.0},
        },
    )


def _gpt2() -> GPT2Config:
    return GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=1024,
        scale_attn_by_inverse_layer_idx=True,
        **_TOKENS,
    )


def _gpt_neox() -> GPTNeoXConfig:
    sizes = {name: value for name, value in _SIZES.items() if name != "num_key_value_heads"}
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}
    return GPTNeoXConfig(**sizes, rope_parameters=rope)


def _granite() -> GraniteConfig:
    return GraniteConfig(
        **_SIZES, attention_multiplier=0.5, embedding_multiplier=1.5, residual_multiplier=0.7, logits_scaling=1.3
    )


def _gpt_oss() -> GptOssConfig:
    yarn = {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 64, "rope_theta": 1_000.0}
    return GptOssConfig(
        **_SIZES,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=SLIDING,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters=yarn,
    )


_CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": _llama,
    "llama_mha": lambda: _llama(kv_heads=4),
    "llama_mqa": lambda: _llama(kv_heads=1),
    "llama_llama3": lambda: _llama(
        rope_type="llama3",
        rope_theta=500.0,
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    ),
    "llama_yarn": lambda: _llama(rope_type="yarn", rope_theta=500.0, factor=32.0, original_max_position_embeddings=64),
    "llama_dynamic": lambda: _llama(rope_type="dynamic", rope_theta=500.0, factor=2.0),
    "qwen2": lambda: Qwen2Config(**_SIZES),
    "qwen3": lambda: Qwen3Config(**_SIZES, head_dim=16),
    "mistral": lambda: MistralConfig(**_SIZES, sliding_window=SLIDING),
    "phi3": lambda: Phi3Config(**_SIZES),
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "olmo2": lambda: Olmo2Config(**_SIZES),
    "granite": _granite,
    "gpt_oss": _gpt_oss,
}

FAMILIES = tuple(_CONFIGS)


def build(family: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> PreTrainedModel:
    """A model of this family in eval mode, whose attention is far from uniform.

    float64 by default, so that decisions do not hinge on rounding. Buffers (rotary frequencies) keep the precision
    that loading gives them.
    """
    config = _CONFIGS[family]()
    config.tie_word_embeddings = False
    # The default way through a mixture's experts takes no float64.
    mixture = {"experts_implementation": "eager"} if hasattr(config, "num_local_experts") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, **mixture)
    generator = torch.Generator().manual_seed(1_000 + seed)
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = _initial(name, parameter.data.double(), drawn).to(dtype)
    return model.eval().requires_grad_(False)


def _initial(name: str, default: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    if name.endswith("sinks"):
        return drawn
    if "q_norm" in name or "k_norm" in name:
        return default + 0.4 + 0.2 * drawn
    if drawn.ndim == 1:  # norms and biases
        return default + 0.1 * drawn
    if "embed" in name or "wte" in name:
        return drawn
    if "wpe" in name:
        return 0.5 * drawn
    queries_or_keys = any(part in name for part in ("q_proj", "k_proj", "qkv_proj", "c_attn", "query_key_value"))
    gain = 1.8 if queries_or_keys else 1.2
    return gain * drawn / math.sqrt(32)


def tokens(n: int, seed: int = 0) -> torch.Tensor:
    """Token ids [n], none of them twice before all were used.

    The first layer sees the same input wherever a token repeats, and scores that are equal but for rounding make
    decisions that hinge on rounding. (Exact ties are the business of the rules' own tests.)
    """
    generator = torch.Generator().manual_seed(seed)
    usable = VOCABULARY - 3
    rounds = [3 + torch.randperm(usable, generator=generator) for _ in range(math.ceil(n / usable))]
    return torch.cat(rounds)[:n] if rounds else torch.empty(0, dtype=torch.int64)
