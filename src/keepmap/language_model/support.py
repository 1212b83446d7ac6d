"""Which models are supported, and how long a text each takes: told from the config, before any weight is read."""

from typing import TYPE_CHECKING

from keepmap.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["attention_options", "longest_text", "require_supported"]

_ATTENTION_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


def attention_options(config: "PretrainedConfig") -> dict[str, str]:
    """What to load a model with: before transformers 5.4 the fused kernel leaves a softcap out without a word."""
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return {"attn_implementation": "eager"} if capped else {}


def longest_text(config: "PretrainedConfig") -> int | None:
    """The longest text that one pass processes as decoding would.

    With longrope (Phi-3) a text beyond the original length turns all keys anew, which decoding cannot do to the keys
    it has cached: the two differ, and decoding is what users run.
    """
    most = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    each = [part for part in rope.values() if isinstance(part, dict)] or [rope]
    original = [part.get("original_max_position_embeddings") for part in each if part.get("rope_type") == "longrope"]
    return min([int(limit) for limit in (most, *original) if limit], default=None)


def require_supported(config: "PretrainedConfig", architecture: str) -> None:
    """Say by name which models are not supported, and why, before any weight is read.

    Raises:
        ModelError: the architecture is not supported.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    stateful = set(getattr(text, "layer_types", None) or ()) - _ATTENTION_LAYERS
    reason = None
    if getattr(config, "is_encoder_decoder", False):
        reason = "it is an encoder-decoder, keepmap takes decoder-only models"
    elif stateful:
        reason = f"its layers of type {', '.join(sorted(stateful))} hold a state, not a cache of keys and values"
    elif getattr(text, "kv_lora_rank", None):
        reason = "it caches a latent vector per token (MLA), not keys and values per head"
    elif getattr(text, "num_kv_shared_layers", 0):
        reason = "some of its layers share the keys and values of others"
    elif getattr(text, "alibi", False) or config.model_type in ("bloom", "mpt"):
        reason = "its attention biases (ALiBi) do not go through transformers.AttentionInterface"
    elif not getattr(text, "num_attention_heads", None) or not getattr(text, "num_hidden_layers", None):
        reason = "it has no attention"
    if reason:
        raise ModelError(f"{architecture} is not supported: {reason}")
