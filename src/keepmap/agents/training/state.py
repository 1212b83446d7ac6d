"""A training's state: a fresh one, the newest checkpoint's, and the next checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keepmap.agents.acting.agent import load_agent
from keepmap.agents.checkpoints import (
    TRAINING,
    Checkpoint,
    load_tensors,
    newest_checkpoint,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from keepmap.agents.config import Config
from keepmap.agents.environments.goals import Split
from keepmap.agents.transformer import DecisionTransformer
from keepmap.core.versions import versions
from keepmap.errors import InputError, ModelError

__all__ = ["FOLDER_OPTION", "MAY_CHANGE", "prepared", "refuse_another", "remove_before", "save"]

FOLDER_OPTION = "log_dir (of a study: `output_dir`)"
"""What names the folder of a training, in messages."""

MAY_CHANGE = {
    "log_dir",
    "traj_dir",
    "ckpt_interval",
    "summary_interval",
    "eval_interval",
    "gen_interval",
    "test_batch_size",
}
"""Keys that may differ when a run goes on: no weight depends on them."""


def prepared(config: Config, run: Path) -> tuple[DecisionTransformer, torch.optim.Optimizer, Checkpoint | None]:
    """The model and its optimizer, fresh or as the run's newest checkpoint has them."""
    torch.manual_seed(config.train_seed)
    model = DecisionTransformer(config.shape()).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(config.beta1, config.beta2), weight_decay=config.weight_decay
    )
    newest = newest_checkpoint(run)
    if newest is None:
        if config.init is not None:
            _start_from(model, config.init)
        return model, optimizer, None
    begun = read_checkpoint(newest)
    refuse_another(config, begun)
    _fill(model, load_tensors(begun), newest)
    moments = load_tensors(begun, TRAINING)
    names = [name for name, _ in model.named_parameters()]
    for name, value in model.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            held = moments.get(f"{key}.{name}")
            if held is None or held.shape != value.shape or f"step.{name}" not in moments:
                raise ModelError(
                    f"{newest / TRAINING} lacks {key}.{name}; delete the folder {newest} to go on before it"
                )
    optimizer.load_state_dict(
        {
            "state": {
                index: {key: moments[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
                for index, name in enumerate(names)
            },
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )
    return model, optimizer, begun


def refuse_another(config: Config, begun: Checkpoint) -> None:
    """Whether a training with this configuration goes on from a checkpoint.

    Raises:
        InputError: it is of a run with another one.
    """
    for key, value in config.as_dict().items():
        held = begun.config.get(key)
        same = held == value or key in MAY_CHANGE or (key == "init" and _same_start(held, value))
        if not same:
            raise InputError(
                f"{begun.folder.parent} holds a run with {key} {held!r}, not {value!r}; delete that folder, or give "
                f"another {FOLDER_OPTION}"
            )


def _same_start(held: Any, init: Any) -> bool:
    """Whether two names of checkpoints stand for the same weights."""
    if held is None or init is None:
        return False
    try:
        weights, others = (load_agent(name).model.state_dict() for name in (held, init))
    except ModelError:
        return False
    return weights.keys() == others.keys() and all(torch.equal(value, others[key]) for key, value in weights.items())


def _start_from(model: DecisionTransformer, init: str) -> None:
    agent = load_agent(init)
    _fill(model, agent.model.state_dict(), Path(agent.name))


def _fill(model: DecisionTransformer, tensors: Mapping[str, Tensor], where: Path) -> None:
    expected = model.state_dict()
    for key in [*expected, *tensors]:
        sizes = [tuple(held[key].shape) if key in held else None for held in (expected, tensors)]
        if sizes[0] != sizes[1]:
            raise ModelError(f"{where} does not fit the configuration: {key} is {sizes[1]}, expected {sizes[0]}")
    model.load_state_dict(tensors)


def save(
    config: Config,
    split: Split,
    run: Path,
    model: DecisionTransformer,
    optimizer: torch.optim.Optimizer,
    step: int,
    seconds: float,
) -> Path:
    """Write the checkpoint of an update, then remove those before it; the folder of the new one."""
    names = [name for name, _ in model.named_parameters()]
    moments = {
        f"{key}.{names[index]}": value
        for index, moments_of in optimizer.state_dict()["state"].items()
        for key, value in moments_of.items()
    }
    facts: dict[str, Any] = {
        "train": [list(goal) for goal in split.train],
        "held_out": [list(goal) for goal in split.held_out],
        "seconds": seconds,
        "parameters": sum(value.numel() for value in model.parameters()),
        "versions": versions("torch"),
    }
    folder = run / f"ckpt-{step}"
    write_checkpoint(folder, step, config.as_dict(), facts, model.state_dict(), moments)
    remove_before(run, step)
    return folder


def remove_before(run: Path, step: int) -> None:
    """Remove the checkpoints of earlier updates.

    Raises:
        OutputError: one cannot be removed.
    """
    for other in run.glob("ckpt-*"):
        if other.name.removeprefix("ckpt-").isdecimal() and int(other.name[5:]) < step:
            remove_checkpoint(other)
