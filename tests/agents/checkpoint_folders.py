"""Small untrained agents in checkpoints, as a training writes them."""

from pathlib import Path

import torch

from keepmap.agents.checkpoints import write_checkpoint
from keepmap.agents.config import Config
from keepmap.agents.transformer import DecisionTransformer


def write_agent(run: Path, step: int = 10, weights_seed: int = 0, **keys: object) -> Path:
    """A run's folder with a checkpoint of random weights: a 3x3 room, episodes of 6 steps, a window of 12."""
    config = Config(
        **{"grid_size": 3, "horizon": 6, "n_transit": 12, "max_reward": 6.0}
        | {"tf_n_embd": 16, "tf_n_layer": 2, "tf_n_head": 2, "tf_n_inner": 32}
        | keys  # type: ignore[arg-type]
    )
    split = config.goal_split()
    torch.manual_seed(weights_seed)
    model = DecisionTransformer(config.shape())
    facts: dict[str, object] = {
        "train": [list(goal) for goal in split.train],
        "held_out": [list(goal) for goal in split.held_out],
    }
    facts |= {"seconds": 0.0}
    run.mkdir(parents=True, exist_ok=True)
    write_checkpoint(run / f"ckpt-{step}", step, config.as_dict(), facts, model.state_dict())
    return run
