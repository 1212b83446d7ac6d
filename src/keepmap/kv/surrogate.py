"""KVzap surrogates: small networks that predict from a layer's input how much each cache entry will be needed."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepmap.core.arguments import as_path
from keepmap.core.files import make_folder, read_json, written_whole
from keepmap.core.outside.hub import without_retries
from keepmap.core.outside.memory import require_memory
from keepmap.core.storage.documents import read_document, write_document
from keepmap.core.storage.own import require_free
from keepmap.core.storage.tensors import read_tensors, tensors_file
from keepmap.errors import ModelError

__all__ = [
    "CONFIG",
    "MODULE",
    "WEIGHTS",
    "KVzapSurrogate",
    "SurrogateConfig",
    "find_surrogate",
    "load_surrogate",
    "norms_digest",
]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODULE = 2048
"""Bytes that a network takes before it has any weights; a measured one takes 3,700."""


@dataclass(frozen=True)
class SurrogateConfig:
    """Sizes, under the names that `nvidia/KVzap-*` checkpoints use; `hidden_dim` None means linear."""

    input_dim: int  # the language model's hidden size
    output_dim: int  # its KV heads per layer
    n_modules: int  # its layers
    hidden_dim: int | None = None

    @property
    def kind(self) -> str:
        """What it is called in the names of checkpoints: linear or mlp."""
        return "linear" if self.hidden_dim is None else "mlp"

    @property
    def bytes(self) -> int:
        """What it takes in memory, in float32."""
        sizes = (self.input_dim, *([] if self.hidden_dim is None else [self.hidden_dim]), self.output_dim)
        weights = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
        return self.n_modules * (4 * weights + MODULE)


class KVzapSurrogate(nn.Module):
    """One small network per layer: the layer's attention input [..., hidden] to log KVzip+ scores [..., G].

    Reference: arXiv 2601.07891; the layout of files and tensors is that of the checkpoints `nvidia/KVzap-*`.
    """

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(_network(config) for _ in range(config.n_modules))

    def forward(self, hidden: Float[Tensor, "... L hidden"]) -> Float[Tensor, "... L G"]:
        """Scores of the attention inputs of all layers."""
        return torch.stack([layer(hidden[..., index, :]) for index, layer in enumerate(self.layers)], dim=-2)

    def score(self, layer: int, hidden: Float[Tensor, "... hidden"]) -> Float[Tensor, "... G"]:
        """Scores of one layer's attention inputs, computed in the surrogate's precision."""
        parameter = next(self.parameters())
        return self.layers[layer](hidden.to(parameter.device, parameter.dtype))

    def require_fit(self, model_config: Any) -> None:
        """Raise ModelError unless the sizes are those of the language model with this Hugging Face config."""
        heads = getattr(model_config, "num_key_value_heads", None) or model_config.num_attention_heads
        of_model = (model_config.num_hidden_layers, model_config.hidden_size, heads)
        own = (self.config.n_modules, self.config.input_dim, self.config.output_dim)
        if of_model != own:
            raise ModelError(
                "the KVzap surrogate does not fit the model: it has (layers, hidden size, KV heads) "
                f"{own}, the model {of_model}; give the surrogate that was trained for this model"
            )

    def save(self, folder: str | Path, trained_for: Any = None, *, overwrite: bool = False) -> None:
        """Write `config.json` and `model.safetensors`, in the layout of `nvidia/KVzap-*`, over those of a surrogate.

        Args:
            trained_for: the LanguageModel; its name and its `norms_digest` are written into `config.json`.
            overwrite: whether files of another model, or of anything else, are written over, too.

        Raises:
            OutputError: a file cannot be written, or the folder holds another model's.
        """
        folder = make_folder(as_path("folder", folder))
        for name in (CONFIG, WEIGHTS):
            require_free(folder / name, lambda path: _is_surrogate(path.parent), "of a KVzap surrogate", overwrite)
        dtype = str(next(self.parameters()).dtype).removeprefix("torch.")
        config = {"architectures": ["KVzapModel"], "dtype": dtype, "model_type": "kvzap", **asdict(self.config)}
        if trained_for is not None:
            config["trained_for"] = {"name": trained_for.name, "norms": norms_digest(trained_for.model)}
        write_document(folder / CONFIG, dict(sorted(config.items())))
        content = tensors_file(self.state_dict(), {"format": "pt"})
        with written_whole(folder / WEIGHTS) as temporary:
            temporary.write_bytes(content)


def load_surrogate(path_or_hub_id: str | Path, *, dtype: torch.dtype = torch.float32) -> KVzapSurrogate:
    """The surrogate in a folder, or in a repository of a hub (`nvidia/KVzap-mlp-Qwen3-8B`).

    Raises:
        ModelError: nothing is there, a file is missing or damaged, or its sizes are not those its config states.
    """
    folder = _folder(path_or_hub_id)
    config = _read_config(folder)
    require_memory(config.bytes, f"the KVzap surrogate in {folder}", f"correct its {CONFIG}", ModelError)
    surrogate = KVzapSurrogate(config)
    tensors = _read_tensors(folder)
    expected = surrogate.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        expected_shape, shape = _shape(expected.get(name)), _shape(tensors.get(name))
        if expected_shape != shape:
            raise ModelError(
                f"the KVzap surrogate in {folder} does not fit its own {CONFIG}: tensor {name} should be "
                f"{expected_shape}, found {shape}; download it again or correct {CONFIG}"
            )
    surrogate.load_state_dict(tensors)
    return surrogate.to(dtype).eval().requires_grad_(False)


def norms_digest(model: nn.Module) -> str | None:
    """What a model has in common with its quantised forms: a hash of its vectors (norms, biases), None without any.

    Quantisation leaves vectors as they are; they are compared in bfloat16, whatever the model was loaded as.

    >>> from keepmap.language_model import load_language_model
    >>> digests = {norms_digest(load_language_model("tiny", dtype=dtype).model) for dtype in ("float32", "bfloat16")}
    >>> len(digests)
    1
    """
    vectors = sorted((name, weight) for name, weight in model.named_parameters() if weight.ndim == 1)
    digest = hashlib.sha256()
    for name, vector in vectors:
        digest.update(name.encode() + vector.detach().bfloat16().view(torch.int16).cpu().numpy().tobytes())
    return digest.hexdigest() if vectors else None


def find_surrogate(folders: Iterable[Path], model: nn.Module) -> Path | None:
    """The first of these folders that holds a surrogate trained for this model, by its `norms_digest`."""
    norms = norms_digest(model)
    for folder in folders:
        if norms is not None and (folder / CONFIG).is_file():
            trained_for = read_document(folder / CONFIG).get("trained_for", {})
            if trained_for.get("norms") == norms:
                return folder
    return None


def _network(config: SurrogateConfig) -> nn.Module:
    if config.hidden_dim is None:
        return nn.Linear(config.input_dim, config.output_dim)
    return nn.Sequential(
        nn.Linear(config.input_dim, config.hidden_dim),
        nn.GELU(),
        nn.Linear(config.hidden_dim, config.output_dim),
    )


def _is_surrogate(folder: Path) -> bool:
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "kvzap"


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else str(list(tensor.shape))


def _folder(path_or_hub_id: str | Path) -> Path:
    """The local folder of this name, or else a snapshot of the hub's repository of this name."""
    path = as_path("path_or_hub_id", path_or_hub_id).expanduser()
    if path.is_dir():
        return path
    name = str(path_or_hub_id)
    if isinstance(path_or_hub_id, Path) or name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise ModelError(
            f"no KVzap surrogate: {name} is not a folder; give a folder with {CONFIG} and {WEIGHTS}, "
            "or a hub repository such as nvidia/KVzap-mlp-Qwen3-8B"
        )
    from huggingface_hub import snapshot_download

    try:
        with without_retries():
            return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # the hub's client raises its own, requests' and the system's errors
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"no KVzap surrogate: {name} is neither a folder nor a hub repository that can be read ({reason}); "
            "check the name and the connection"
        ) from error


def _read_config(folder: Path) -> SurrogateConfig:
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"no KVzap surrogate in {folder}: it has no {CONFIG}; give a folder written by its training")
    try:
        values = read_document(path)
        sizes = {name: values[name] for name in ("input_dim", "output_dim", "n_modules")}
        sizes["hidden_dim"] = values.get("hidden_dim")
    except KeyError as error:
        raise ModelError(
            f"{path} is not a KVzap config: it has no {error}, only {', '.join(sorted(values))}; "
            "it needs input_dim, output_dim, n_modules, hidden_dim"
        ) from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"cannot read {path} ({reason}); download the surrogate again, or train it again") from error
    except (TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a JSON object ({error}); download the surrogate again") from error
    for name, size in sizes.items():
        if (name, size) != ("hidden_dim", None) and (type(size) is not int or size < 1):
            raise ModelError(f"{path} is not a KVzap config: {name} is {size!r}, it must be a positive integer")
    return SurrogateConfig(**sizes)


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError(f"no KVzap surrogate in {folder}: it has no {WEIGHTS}; other formats are not loaded")
    try:
        return read_tensors(path)[0]
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path} is damaged or not a safetensors file ({reason}); download it again") from error
