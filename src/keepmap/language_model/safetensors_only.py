"""Which files a model's weights come from: safetensors of its own folder, known before any of them is read.

`use_safetensors=True` alone does not say so: transformers unpickles whatever an index or a config names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keepmap.core.files import read_json
from keepmap.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["pinned", "require_no_adapter", "require_own_attention", "weight_files"]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
LARGEST_INDEX = 64 * 2**20
"""Bytes; of a model of 700 billion weights it has ten million."""


def pinned(source: str | Path) -> tuple[Path, dict[str, str]]:
    """A model's config.json, and what to load all files of a hub's repository with, so that they are of one commit.

    Raises:
        OSError: there is no such repository, or it has no config.json.
    """
    file = Path(_file(source, "config.json", {}, required=True))
    of_hub = not Path(source).is_dir() and file.parent.parent.name == "snapshots"
    return file, {"revision": file.parent.name} if of_hub else {}


def weight_files(source: str | Path, config: "PretrainedConfig", name: str, pin: Mapping[str, str]) -> list[Path]:
    """The safetensors files that hold the weights of a model in a folder or on the hub.

    Args:
        name: the model's, for messages. pin: what `pinned` says.

    Raises:
        ModelError: something else than safetensors of its own is named as its weights, or nothing is there.
        OSError: a file cannot be found or downloaded.
    """
    require_no_adapter(source, name, pin)
    named = getattr(config, "transformers_weights", None)
    if named is not None:
        names = [_own_safetensors(named, name, "its config", (".safetensors", ".safetensors.index.json"))]
    else:
        names = [INDEX, WEIGHTS]
    files = [Path(file) for each in names if (file := _file(source, each, pin))]
    if not files:
        raise ModelError(f'model "{name}" has no {" and no ".join(names)}; keepmap loads safetensors only, save it so')
    shards = [shard for file in files if file.suffix == ".json" for shard in _shards(file, name)]
    whole = [file for file in files if file.suffix != ".json"]
    return whole or [Path(_file(source, shard, pin, required=True)) for shard in shards]


def require_no_adapter(source: str | Path, name: str, pin: Mapping[str, str]) -> None:
    """Whether a folder or a repository is a model by itself: an adapter names another, and may hold pickles.

    Raises:
        ModelError: it has an adapter.
    """
    if _file(source, ADAPTER, pin):
        raise ModelError(
            f'model "{name}" has an adapter beside it ({ADAPTER}), which names another model; merge the two and save '
            "that, or remove the file"
        )


def require_own_attention(config: "PretrainedConfig", name: str) -> None:
    """Whether the attention that a config asks for is transformers' own: others are programs of a hub's repository.

    Raises:
        ModelError: it is another.
    """
    for part in (config, config.get_text_config()):
        for kind in ("_attn_implementation", "_experts_implementation"):
            program = getattr(part, kind, None)
            if isinstance(program, str) and "/" in program:
                raise ModelError(
                    f'model "{name}" asks for the program "{program}" as its attention, and keepmap runs none of a '
                    "model's; remove attn_implementation from its config.json"
                )


def _shards(index: Path, name: str) -> list[str]:
    """The files that an index names."""
    if index.stat().st_size > LARGEST_INDEX:
        raise ModelError(f'model "{name}": its {index.name} is larger than 64 MiB; save the model again')
    try:
        content = read_json(index)
        shards = set(content["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = type(error).__name__
        raise ModelError(f'model "{name}": its {index.name} is damaged ({what}); save or download it again') from error
    return sorted(_own_safetensors(shard, name, f"its {index.name}", (".safetensors",)) for shard in shards)


def _own_safetensors(file: object, name: str, where: str, endings: tuple[str, ...]) -> str:
    if not isinstance(file, str) or not file.endswith(endings):
        raise ModelError(
            f'model "{name}": {where} names {file!r:.80} as weights, which is not a safetensors file; others can run '
            "code and are not loaded: save the model as safetensors"
        )
    if set("/\\:\0") & set(file) or file.startswith("."):
        raise ModelError(
            f'model "{name}": {where} names {file!r:.80} as weights; they must lie in its own folder: save the model '
            "again"
        )
    return file


def _file(source: str | Path, file: str, pin: Mapping[str, str], required: bool = False) -> str:
    """Where a file of a folder or a hub's repository is on this disk; "" where it has none."""
    from transformers.utils import cached_file

    missing_is_error = {} if required else {"_raise_exceptions_for_missing_entries": False}
    return cached_file(source, file, **pin, **missing_is_error) or ""
