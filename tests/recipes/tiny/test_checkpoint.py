"""Checkpoints: training goes on from one as if it had never stopped, and a killed write leaves the one before."""

from pathlib import Path

import pytest
import torch
from torch import nn

from keepmap.recipes.tiny import checkpoint
from keepmap.recipes.tiny.checkpoint import load_checkpoint, read_state, save_checkpoint


def pair(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def update(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        model(torch.full((1, 3), 1.0 + step)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def weights(model: nn.Module) -> list[list[float]]:
    return [parameter.flatten().tolist() for parameter in model.parameters()]


@pytest.mark.parametrize("before", [0, 2])
def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path, before: int) -> None:
    model, optimizer = pair(0)
    update(model, optimizer, before)
    save_checkpoint(tmp_path, model, optimizer, {"step": before})
    update(model, optimizer, 3)
    other, its_optimizer = pair(1)
    update(other, its_optimizer, 1)
    load_checkpoint(tmp_path, other, its_optimizer)
    update(other, its_optimizer, 3)
    assert weights(other) == weights(model)


def test_the_state_is_that_of_the_last_write(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    model, optimizer = pair(0)
    for step in (1, 2):
        save_checkpoint(tmp_path, model, optimizer, {"step": step, "recipe": {"seed": 0}})
    assert read_state(tmp_path) == {"step": 2, "recipe": {"seed": 0}}


def test_a_killed_write_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = pair(0)
    save_checkpoint(tmp_path, model, optimizer, {"step": 1})

    def die(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", die)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, model, optimizer, {"step": 2})
    assert read_state(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
