"""Checkpoints of agents: a folder with the weights as safetensors and the rest as JSON, and which one is meant."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from keepmap.core.arguments import as_path
from keepmap.core.files import folder_written_whole, remove_files
from keepmap.core.runs.records import sync
from keepmap.core.storage.documents import read_document, with_checksum
from keepmap.core.storage.tensors import read_tensors, tensors_file
from keepmap.errors import ModelError

__all__ = [
    "EMBEDDED",
    "FACTS",
    "MODEL",
    "RUNS",
    "TRAINING",
    "Checkpoint",
    "find_checkpoint",
    "load_tensors",
    "newest_checkpoint",
    "newest_run",
    "read_checkpoint",
    "remove_checkpoint",
    "run_of",
    "write_checkpoint",
]

FORMAT = "keepmap-agent"
SCHEMA_VERSION = 1
MODEL, TRAINING, FACTS = "model.safetensors", "training.safetensors", "checkpoint.json"

EMBEDDED = "tiny"
"""The agent that the package ships."""

RUNS = Path("runs")
"""The folder that trainings write to where no other is named."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder and what its JSON says.

    Attributes:
        step: updates of training that made it.
        config: of the training, as JSON.
        facts: everything else: goals, versions, what a training needs to go on.
    """

    folder: Path
    step: int
    config: Mapping[str, Any]
    facts: Mapping[str, Any]


def write_checkpoint(
    folder: Path,
    step: int,
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    model: Mapping[str, Tensor],
    training: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint, whole or not at all; `training` holds what is needed to go on (an optimizer's moments).

    Raises:
        OutputError: it cannot be written.
    """
    content = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "step": step, "config": config, **facts}
    with folder_written_whole(folder, (FACTS, MODEL, TRAINING)) as part:
        document = json.dumps(with_checksum(content), indent=2, sort_keys=True)
        (part / FACTS).write_text(f"{document}\n", encoding="utf-8")
        (part / MODEL).write_bytes(tensors_file(model))
        if training is not None:
            (part / TRAINING).write_bytes(tensors_file(training))
        for written in (*part.iterdir(), part):
            sync(written)
    with suppress(OSError):  # some systems cannot sync a folder
        sync(folder.parent)


def remove_checkpoint(folder: Path) -> None:
    """Remove what `write_checkpoint` wrote, and the folder where nothing else is in it.

    Raises:
        OutputError: a file cannot be removed.
    """
    if folder.is_symlink():
        return
    remove_files(folder / name for name in (FACTS, MODEL, TRAINING))
    with suppress(OSError):
        folder.rmdir()


def read_checkpoint(folder: Path) -> Checkpoint:
    """What the JSON file of a checkpoint says: configuration, step and goals.

    Raises:
        ModelError: it is missing, damaged, of another kind or a newer version.
    """
    path = folder / FACTS
    try:
        content = read_document(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path} ({' '.join(str(error).split())}); train the agent again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"{path} is not of an agent's checkpoint; give a folder that keepmap train has made")
    whole = {"schema_version": int, "step": int, "config": dict, "train": list, "held_out": list, "seconds": float}
    for key, kind in whole.items():
        if not isinstance(content.get(key), kind):
            raise ModelError(f'{path} has no usable "{key}" (found: {content.get(key)!r:.60}); train the agent again')
    if content["schema_version"] > SCHEMA_VERSION:
        raise ModelError(
            f"{path} has version {content['schema_version']}, this keepmap reads {SCHEMA_VERSION}; update it"
        )
    facts = {key: value for key, value in content.items() if key not in ("format", "schema_version", "step", "config")}
    return Checkpoint(folder, content["step"], content["config"], facts)


def load_tensors(checkpoint: Checkpoint, file: str = MODEL) -> dict[str, Tensor]:
    """The weights, or with `TRAINING` what a training needs to go on.

    Raises:
        ModelError: missing, damaged, or with values that are not finite.
    """
    path = checkpoint.folder / file
    try:
        tensors, _ = read_tensors(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path} ({' '.join(str(error).split())}); train the agent again") from error
    for name, value in tensors.items():
        if not value.is_floating_point() or not value.isfinite().all():
            raise ModelError(f"{path}: expected finite floats as {name}, got others; train the agent again")
    return tensors


def newest_checkpoint(run: Path) -> Path | None:
    """The checkpoint of a run with the most updates; None where there is none."""
    by_step = {int(match[1]): path for path in run.glob("ckpt-*") if (match := re.fullmatch(r"ckpt-(\d+)", path.name))}
    return by_step[max(by_step)] if by_step else None


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder that a path names: itself, or the newest of a run.

    Raises:
        ModelError: there is none.
    """
    path = as_path("path", path)
    if (path / FACTS).is_file():
        return path
    newest = newest_checkpoint(path) if path.is_dir() else None
    if newest is None:
        what = "no checkpoint in it" if path.is_dir() else "a file" if path.exists() else "no such folder"
        raise ModelError(f"no agent at {path}: {what}; train one with keepmap train, or use the embedded one, tiny")
    return newest


def newest_run(runs: Path = RUNS) -> Path | None:
    """The run whose last checkpoint was written last; None where there is no checkpoint."""
    by_age = [
        (checkpoint.stat().st_mtime_ns, run.name, run)
        for run in sorted(runs.glob("*"))
        if run.is_dir() and (checkpoint := newest_checkpoint(run)) is not None
    ]
    return max(by_age)[-1] if by_age else None


def run_of(checkpoint: str) -> Path | None:
    """The folder that results about an agent of this name go into: its run's; None for the embedded agent."""
    if checkpoint == EMBEDDED:
        return None
    folder = Path(checkpoint)
    return folder.parent if newest_checkpoint(folder.parent) is not None else folder
