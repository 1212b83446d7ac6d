"""Checkpoints of a training run: safetensors and JSON, replaced atomically, never pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from keepmap.core.files import written_whole

__all__ = ["load_checkpoint", "read_state", "save_checkpoint"]

FILE = "checkpoint.safetensors"


def save_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write weights, the optimizer's moments and `state` to one file; a killed process leaves the previous one."""
    tensors = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    names = [name for name, _ in model.named_parameters()]
    for index, moments in optimizer.state_dict()["state"].items():
        for key, value in moments.items():
            tensors[f"optimizer.{key}.{names[index]}"] = value.detach()
    with written_whole(folder / FILE) as path:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path, {"state": json.dumps(state)})


def read_state(folder: Path) -> dict[str, Any] | None:
    """The `state` of the folder's checkpoint, or None if there is none."""
    if not (folder / FILE).is_file():
        return None
    with safe_open(folder / FILE, framework="pt") as file:
        return json.loads(file.metadata()["state"])


def load_checkpoint(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the checkpoint's weights and moments into the model and its optimizer, which hold one parameter group."""
    moments: dict[int, dict[str, torch.Tensor]] = {}
    with safe_open(folder / FILE, framework="pt") as file, torch.no_grad():
        stored = set(file.keys())
        for index, (name, parameter) in enumerate(model.named_parameters()):
            parameter.copy_(file.get_tensor(f"model.{name}"))
            tensors = {key: f"optimizer.{key}.{name}" for key in ("step", "exp_avg", "exp_avg_sq")}
            if stored.issuperset(tensors.values()):
                moments[index] = {key: file.get_tensor(tensor) for key, tensor in tensors.items()}
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
