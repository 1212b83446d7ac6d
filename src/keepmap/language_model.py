"""Load a causal language model: the embedded one, a folder, a hub id, or one that is already in memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.errors import InputError, ModelError, did_you_mean

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["EMBEDDED", "LanguageModel", "as_language_model", "load_language_model"]

EMBEDDED = {"tiny": Path(__file__).parent / "embedded" / "tiny"}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
_ATTENTION_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model, with what has to be known of it.

    Attributes:
        model: the Hugging Face model. tokenizer: its tokenizer, None if it was given without one.
        name: what it was loaded as.
        n_layers, n_heads, n_kv_heads, vocab_size: its sizes.
        max_positions: the longest text it takes, None if its config does not say.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase | None"
    name: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int
    max_positions: int | None

    @property
    def body(self) -> torch.nn.Module:
        """The model without its head."""
        return self.model.base_model

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What its weights are."""
        return self.model.dtype

    @torch.no_grad()
    def head(self, hidden_states: Float[Tensor, "N hidden"]) -> Float[Tensor, "N vocab"]:
        """Logits of (a block of) last hidden states; checked once against the model's own before any result."""
        config = self.model.config.get_text_config()
        logits = self.model.get_output_embeddings()(hidden_states)
        logits = logits * (getattr(config, "logit_scale", None) or 1.0)
        logits = logits / (getattr(config, "logits_scaling", None) or 1.0)
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)


def load_language_model(
    model: "str | Path | PreTrainedModel" = "tiny",
    tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
    device: str = "auto",
    dtype: str = "auto",
) -> LanguageModel:
    """Load a causal language model.

    Args:
        model: the embedded name "tiny", a folder, a hub id, or a loaded Hugging Face model (left where it is and as it
            is, unless a device or dtype is asked for).
        tokenizer: a folder, a hub id or a loaded tokenizer; by default the model's own.
        device: "auto" (CUDA where there is one), or a torch device.
        dtype: "auto" (the checkpoint's), "float32", "bfloat16", "float16" or "float64".

    Raises:
        ModelError: it cannot be loaded, or its architecture cannot be done right; says which and why.
        InputError: an unknown device or dtype.
    """
    where = _device(device)
    wanted = _dtype(dtype)
    if isinstance(model, (str, Path)):
        source = _source(model)
        name = str(model)
        loaded = _load_model(source, name, wanted)
        loaded.to(where)
        tokenizer = _load_tokenizer(source if tokenizer is None else tokenizer)
    else:
        loaded = model
        name = getattr(loaded.config, "name_or_path", "") or type(loaded).__name__
        _refuse(loaded.config, type(loaded).__name__)
        if device != "auto":
            loaded.to(where)
        if wanted is not None:
            loaded.to(wanted)
        if isinstance(tokenizer, (str, Path)):
            tokenizer = _load_tokenizer(tokenizer)
    config = loaded.config.get_text_config()
    heads = int(config.num_attention_heads)
    return LanguageModel(
        loaded,
        tokenizer,
        name,
        int(config.num_hidden_layers),
        heads,
        int(getattr(config, "num_key_value_heads", None) or heads),
        int(config.vocab_size),
        _longest(config),
    )


def as_language_model(model: "LanguageModel | str | Path | PreTrainedModel") -> LanguageModel:
    """A LanguageModel as it is; anything else as `load_language_model` loads it.

    Raises:
        ModelError: it cannot be loaded, or is not supported; says which and why.
    """
    return model if isinstance(model, LanguageModel) else load_language_model(model)


def _longest(config: "PretrainedConfig") -> int | None:
    """The longest text that one pass processes as decoding would.

    With longrope (Phi-3) a text beyond the original length turns all keys anew, which decoding cannot do to the keys
    it has cached: the two differ, and decoding is what users run.
    """
    most = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    each = [part for part in rope.values() if isinstance(part, dict)] or [rope]
    original = [part.get("original_max_position_embeddings") for part in each if part.get("rope_type") == "longrope"]
    return min([int(limit) for limit in (most, *original) if limit], default=None)


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f'device "{device}" was asked for; use "auto", "cpu", "cuda" or "cuda:N"') from None
    if found.type not in ("cpu", "cuda"):
        raise InputError(f'device "{device}" was asked for, keepmap runs on "cpu" and "cuda"; use one of them')
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f'device "{device}" was asked for, torch sees {torch.cuda.device_count()} CUDA devices; use one of those, '
            '"cpu" or "auto"'
        )
    return found


def _dtype(dtype: str) -> torch.dtype | None:
    if dtype == "auto":
        return None
    if dtype not in _DTYPES:
        raise InputError(f'dtype "{dtype}" was asked for, {did_you_mean(dtype, ["auto", *_DTYPES])}')
    return _DTYPES[dtype]


def _source(model: str | Path) -> str | Path:
    """A folder that holds a model, or a hub id."""
    if str(model) in EMBEDDED:
        return EMBEDDED[str(model)]
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"the folder {path} has no config.json; give the folder of a saved model")
        return path
    text = str(model)
    if path.exists() or isinstance(model, Path) or text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise ModelError(f'model "{model}": no such folder; give a folder, a hub id or "tiny"')
    if "/" not in text and not text.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ModelError(f'model "{model}" is neither a folder nor a hub id; give a folder, a hub id or "tiny"')
    return text


def _load_model(source: str | Path, name: str, dtype: torch.dtype | None) -> "PreTrainedModel":
    from transformers import AutoConfig, AutoModelForCausalLM

    config = _told(lambda: AutoConfig.from_pretrained(source), name, "config")
    architectures = getattr(config, "architectures", None) or [config.model_type]
    _refuse(config, architectures[0])
    # Before transformers 5.4 the fused kernel leaves a softcap out without a word.
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    implementation = {"attn_implementation": "eager"} if capped else {}
    return _told(
        # Only safetensors: a checkpoint that is a pickle could run code.
        lambda: AutoModelForCausalLM.from_pretrained(
            source, config=config, dtype="auto" if dtype is None else dtype, use_safetensors=True, **implementation
        ),
        name,
        "weights",
    )


def _load_tokenizer(source: "str | Path | PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    if not isinstance(source, (str, Path)):
        return source
    if isinstance(source, Path) and not any((source / file).is_file() for file in _TOKENIZER_FILES):
        raise ModelError(f"the folder {source} has no tokenizer (tokenizer.json); save the model's tokenizer there too")
    return _told(lambda: AutoTokenizer.from_pretrained(source), str(source), "tokenizer")


def _told(load: Any, name: str, what: str) -> Any:
    """The loaded thing, or one line on why not: transformers, safetensors and the hub raise many kinds of errors."""
    from safetensors import SafetensorError

    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        advice = _advice(name, what, isinstance(error, SafetensorError))
        raise ModelError(f'cannot load the {what} of model "{name}": {lines[0].rstrip(".")}; {advice}') from error


def _advice(name: str, what: str, damaged: bool) -> str:
    if damaged:
        return "its safetensors file is cut or damaged: save or download it again"
    if Path(name).is_dir():
        return f"save the {what} into that folder again"
    return "check the name and the connection, or give the folder of a saved model"


def _refuse(config: "PretrainedConfig", architecture: str) -> None:
    """Say by name what cannot be done right, before any weight is read."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    kinds = set(getattr(text, "layer_types", None) or ()) - _ATTENTION_LAYERS
    reason = None
    if getattr(config, "is_encoder_decoder", False):
        reason = "it is an encoder-decoder, keepmap does decoder-only models"
    elif kinds:
        reason = f"its layers of type {', '.join(sorted(kinds))} hold a state, not a cache of keys and values"
    elif getattr(text, "kv_lora_rank", None):
        reason = "it caches a latent vector per token (MLA), not keys and values per head"
    elif getattr(text, "num_kv_shared_layers", 0):
        reason = "some of its layers share the keys and values of others"
    elif getattr(text, "alibi", False) or config.model_type in ("bloom", "mpt"):
        reason = "its attention biases (ALiBi) do not go through transformers.AttentionInterface"
    elif not getattr(text, "num_attention_heads", None) or not getattr(text, "num_hidden_layers", None):
        reason = "it has no attention"
    if reason:
        raise ModelError(f"{architecture} cannot be done: {reason}")
