"""A training's state: from where the last one stopped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from keepmap.agents.config import Config
from keepmap.agents.training.state import prepared, save
from keepmap.errors import InputError, OutputError


def test_what_is_saved_is_what_is_prepared(config: Config, tmp_path: Path) -> None:
    model, optimizer, begun = prepared(config, tmp_path)
    assert begun is None and model.training
    sum(weight.sum() for weight in model.parameters()).backward()
    optimizer.step()
    for step in (1, 2):
        folder = save(config, config.goal_split(), tmp_path, model, optimizer, step, 1.5)
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt-2"]
    again, restored, begun = prepared(config, tmp_path)
    assert begun is not None and (begun.folder, begun.step, begun.facts["seconds"]) == (folder, 2, 1.5)
    for weight, same in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(weight, same)
    for moments, same in zip(optimizer.state.values(), restored.state.values(), strict=True):
        assert all(torch.equal(moments[name], same[name]) for name in ("step", "exp_avg", "exp_avg_sq"))
    with pytest.raises(InputError, match=r"holds a run with lr 0\.\d+, not 0\.5; delete that folder"):
        prepared(replace(config, lr=0.5), tmp_path)
    prepared(replace(config, eval_interval=7), tmp_path)


def test_what_somebody_has_put_beside_a_checkpoint_stays(config: Config, tmp_path: Path) -> None:
    model, optimizer, _ = prepared(config, tmp_path)
    sum(weight.sum() for weight in model.parameters()).backward()
    optimizer.step()
    for step in (1, 2):
        save(config, config.goal_split(), tmp_path, model, optimizer, step, 1.5)
        (tmp_path / f"ckpt-{step}" / "notes.txt").write_text(f"mine {step}")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    (tmp_path / "ckpt-0").symlink_to(tmp_path / "mine")
    save(config, config.goal_split(), tmp_path, model, optimizer, 2, 2.5)
    assert [path.name for path in (tmp_path / "ckpt-1").iterdir()] == ["notes.txt"]
    assert (tmp_path / "ckpt-2" / "notes.txt").read_text() == "mine 2" and prepared(config, tmp_path)[2] is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt-0", "ckpt-1", "ckpt-2", "mine"]
    (tmp_path / "ckpt-3").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputError, match="ckpt-3: it is a symbolic link, and no folder is replaced through one"):
        save(config, config.goal_split(), tmp_path, model, optimizer, 3, 2.5)
    assert (tmp_path / "mine" / "precious").exists()
