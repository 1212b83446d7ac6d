"""Load a causal language model: the embedded one, a folder, a hub id, a GGUF file, or one that is already in memory."""

import functools
import struct
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from keepmap.core.arguments import shown
from keepmap.errors import InputError, ModelError, did_you_mean
from keepmap.language_model.model import LanguageModel
from keepmap.language_model.quiet import without_bars
from keepmap.language_model.support import longest_text, require_supported

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["EMBEDDED", "as_language_model", "load_language_model"]

EMBEDDED = {"tiny": Path(__file__).parent.parent / "embedded" / "tiny"}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
_GGUF_NEEDS = ("gguf", "accelerate")
_LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, struct.error)  # the last: a GGUF file that is cut
_TAKEN = 'a loaded Hugging Face model, a folder, a hub id, a GGUF file or "tiny"'

Loaded = TypeVar("Loaded")


def load_language_model(
    model: "str | Path | PreTrainedModel | LanguageModel" = "tiny",
    tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
    device: "str | torch.device" = "auto",
    dtype: "str | torch.dtype" = "auto",
) -> LanguageModel:
    """Load a causal language model, with its tokenizer.

    >>> load_language_model("tiny", device="cpu").n_layers
    2

    Args:
        model: the embedded name "tiny", a folder, a hub id, a GGUF file (its weights become float32; needs the extra
            `gguf`), or a loaded Hugging Face model or LanguageModel (left where it is and as it is, unless a device or
            dtype is given).
        tokenizer: a folder, a hub id or a loaded tokenizer; by default the model's own: for a loaded model that of the
            folder or hub id that it was loaded from, none if there is none.
        device: "auto" (CUDA where there is one), or a torch device.
        dtype: "auto" (the checkpoint's), "float32", "bfloat16", "float16" or "float64".

    Raises:
        ModelError: it cannot be loaded, or its architecture is not supported; says which and why.
        InputError: not a model at all, or an unknown device or dtype.
    """
    place, number_format = _device(device), _dtype(dtype)
    if isinstance(model, LanguageModel):
        if tokenizer is None and device == "auto" and number_format is None:
            return model
        loaded, name, tokenizer = model.model, model.name, model.tokenizer if tokenizer is None else tokenizer
    elif isinstance(model, str | Path):
        source, name = _source(model), str(model)
        loaded = _load_gguf(source, name) if _is_gguf(source) else _load_model(source, name, number_format)
        tokenizer = source if tokenizer is None else tokenizer
    else:
        loaded = _checked_kind(model)
        name = _name(loaded)
        tokenizer = _tokenizer_of(loaded.config.name_or_path) if tokenizer is None else tokenizer
    if device != "auto" or isinstance(model, str | Path):
        loaded.to(place)
    if number_format is not None:
        loaded.to(number_format)
    config = loaded.config.get_text_config()
    heads = int(config.num_attention_heads)
    return LanguageModel(
        model=loaded,
        tokenizer=_load_tokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer,
        name=name,
        n_layers=int(config.num_hidden_layers),
        n_heads=heads,
        n_kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
        vocab_size=int(config.vocab_size),
        max_positions=longest_text(config),
    )


def as_language_model(model: "LanguageModel | str | Path | PreTrainedModel") -> LanguageModel:
    """A LanguageModel as it is; anything else as `load_language_model` loads it.

    Raises:
        ModelError: it cannot be loaded, or is not supported; says which and why.
        InputError: not a model at all.
    """
    if isinstance(model, LanguageModel):
        return model
    with without_bars():
        return load_language_model(model)


def _checked_kind(model: object) -> "PreTrainedModel":
    """A loaded model of transformers that predicts tokens."""
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise InputError(f"expected `model` to be {_TAKEN}, got {shown(model)}")
    require_supported(model.config, type(model).__name__)
    if model.get_output_embeddings() is None:
        raise ModelError(f"{type(model).__name__} is not supported: it predicts no tokens; use AutoModelForCausalLM")
    return model


def _name(loaded: "PreTrainedModel") -> str:
    """What a model in memory was loaded as, or its class."""
    name = loaded.config.name_or_path or type(loaded).__name__
    return next((embedded for embedded, folder in EMBEDDED.items() if str(folder) == name), name)


def _device(device: "str | torch.device") -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f'expected `device` to be "auto", "cpu", "cuda" or "cuda:N", got {shown(device)}') from None
    if place.type not in ("cpu", "cuda"):
        raise InputError(f'device "{device}" is not supported; use "cpu" or "cuda"')
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise InputError(f'device "{device}" is not there: torch sees {seen} CUDA devices; use one of those or "cpu"')
    return place


def _dtype(dtype: "str | torch.dtype") -> torch.dtype | None:
    if dtype == "auto":
        return None
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise InputError(f'dtype "{name}" is not supported, {did_you_mean(name, ["auto", *_DTYPES])}')
    return _DTYPES[name]


def _source(model: str | Path) -> str | Path:
    """A folder that holds a model, a GGUF file, or a hub id.

    Raises:
        ModelError: none of these.
    """
    if str(model) in EMBEDDED:
        return EMBEDDED[str(model)]
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"the folder {path} has no config.json; give the folder of a saved model")
        return path
    if _is_gguf(path):
        if not path.is_file():
            raise ModelError(f'model "{model}": no such file; give a GGUF file that is there')
        return path
    if not _may_be_hub_id(model):
        raise ModelError(f'model "{model}": no such folder or hub id; give {_TAKEN}')
    return str(model)


def _is_gguf(source: str | Path) -> bool:
    return Path(source).suffix.lower() == ".gguf"


def _may_be_hub_id(model: str | Path) -> bool:
    """Whether a text can be the name of a repository on the hub: "name" or "owner/name"."""
    text = str(model)
    is_path = isinstance(model, Path) or Path(model).exists() or text.startswith((".", "/", "~"))
    if not text or is_path or text.count("/") > 1:
        return False
    return "/" in text or text.replace("-", "").replace("_", "").replace(".", "").isalnum()


def _load_model(source: str | Path, name: str, dtype: torch.dtype | None) -> "PreTrainedModel":
    from transformers import AutoConfig, AutoModelForCausalLM

    config = _explained(lambda: AutoConfig.from_pretrained(source, trust_remote_code=False), name, "config")
    architectures = getattr(config, "architectures", None) or [config.model_type]
    require_supported(config, architectures[0])
    return _explained(
        # Only safetensors: a checkpoint that is a pickle could run code.
        lambda: AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype="auto" if dtype is None else dtype,
            trust_remote_code=False,
            use_safetensors=True,
            **_attention(config),
        ),
        name,
        "weights",
    )


def _load_gguf(file: str | Path, name: str) -> "PreTrainedModel":
    """The float32 weights of a GGUF file, in a model that does not call itself quantised (and so can be saved)."""
    from transformers import AutoModelForCausalLM

    _require_gguf(name)
    file = Path(file)
    read = _explained(
        lambda: AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
        ),
        name,
        "weights",
    )
    config = read.config
    require_supported(config, type(read).__name__)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False, **_attention(config))
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    return model.eval()


def _require_gguf(name: str) -> None:
    if missing := [package for package in _GGUF_NEEDS if find_spec(package) is None]:
        needs = " and ".join(missing)
        raise ModelError(f'model "{name}" is a GGUF file, which needs {needs}: pip install "keepmap[gguf]"')


def _attention(config: "PretrainedConfig") -> dict[str, str]:
    """Before transformers 5.4 the fused kernel leaves a softcap out without a word."""
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return {"attn_implementation": "eager"} if capped else {}


def _load_tokenizer(source: str | Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    folder, options = source, {}
    if _is_gguf(source):
        _require_gguf(str(source))
        folder, options = Path(source).parent, {"gguf_file": Path(source).name}
    elif isinstance(source, Path) and not _has_tokenizer(source):
        raise ModelError(f"the folder {source} has no tokenizer (tokenizer.json); save the model's tokenizer there too")
    return _explained(
        lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options), str(source), "tokenizer"
    )


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / file).is_file() for file in _TOKENIZER_FILES)


def _tokenizer_of(name: str) -> "PreTrainedTokenizerBase | None":
    """The tokenizer of the folder or hub id that a model in memory was loaded from, None if there is none."""
    is_folder = bool(name) and Path(name).is_dir()
    return _found_tokenizer(name) if (_has_tokenizer(Path(name)) if is_folder else _may_be_hub_id(name)) else None


@functools.lru_cache(maxsize=8)
def _found_tokenizer(name: str) -> "PreTrainedTokenizerBase | None":
    from transformers import AutoTokenizer

    # First what is on this disk: a hub that does not answer takes a minute.
    for only_here in (True, False):
        with suppress(*_LOADING_ERRORS):
            return AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=only_here)
    return None


def _explained(load: Callable[[], Loaded], name: str, what: str) -> Loaded:
    """What `load` returns, or one line on why not: transformers, safetensors and the hub raise many kinds of errors."""
    from safetensors import SafetensorError

    try:
        return load()
    except (*_LOADING_ERRORS, SafetensorError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        advice = _advice(name, what, isinstance(error, SafetensorError))
        raise ModelError(f'cannot load the {what} of model "{name}": {lines[0].rstrip(".")}; {advice}') from error


def _advice(name: str, what: str, damaged: bool) -> str:
    if damaged:
        return "its safetensors file is cut or damaged: save or download it again"
    if Path(name).is_dir():
        return f"save the {what} into that folder again"
    if Path(name).is_file():
        return "download the file again, or take one of a supported architecture"
    return "check the name and the connection, or give the folder of a saved model"
