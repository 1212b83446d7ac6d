"""The training loop: the same weights again after any kill, and the rate that the recipe says."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from keepmap.errors import InputError
from keepmap.recipes.tiny import loop, recipe
from keepmap.recipes.tiny.progress import Progress
from tests.recipes.tiny.documents import DOCUMENTS


class Killed(Exception):
    pass


def test_a_model_has_the_recipes_sizes_and_its_seeds_weights() -> None:
    first, again, other = (loop.build_model(recipe.miniature(seed)) for seed in (0, 0, 1))
    assert (first.config.vocab_size, first.config.hidden_size, first.config.head_dim) == (512, 64, 16)
    assert first.config.num_hidden_layers == 2 and first.config.max_position_embeddings == 131072
    same = [torch.equal(*weights) for weights in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same) and not torch.equal(next(first.parameters()), next(other.parameters()))


def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recipe.miniature(seed=5)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected, _ = loop.train(plan, whole, bpe, DOCUMENTS, lambda progress: None)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)

    def kill_in(stage: str, step: int) -> Any:
        def report(progress: Progress) -> None:
            if (progress.stage, progress.step) == (stage, step):
                raise Killed

        return report

    for stage, step in (("copy", 3), ("prose", 1), ("prose", 6)):
        with pytest.raises(Killed):
            loop.train(plan, killed, bpe, DOCUMENTS, kill_in(stage, step))
    reported: list[Progress] = []
    again, _ = loop.train(plan, killed, bpe, DOCUMENTS, reported.append)
    assert reported[0].step == 6  # the step that was killed before its checkpoint is done again
    for (name, want), have in zip(expected.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(want, have), name
    assert [path.name for path in killed.iterdir()] == ["checkpoint.safetensors"]
    with pytest.raises(InputError, match="another recipe"):
        loop.train(dataclasses.replace(plan, seed=6), killed, bpe, DOCUMENTS, reported.append)


def test_the_rate_warms_up_and_falls_as_the_recipe_says(
    tmp_path: Path, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = dataclasses.replace(recipe.miniature().stages[0], steps=3, rate=(8.0e-3, 2.0e-3))
    more = dataclasses.replace(copy, name="more", steps=2, rate=(1.0e-3, 1.0e-3))
    plan = dataclasses.replace(recipe.miniature(), warm_up=4, stages=(copy, more))
    rates: list[float] = []
    states: list[tuple[int, int]] = []

    def note(folder: Path, model: Any, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        rates.append(optimizer.param_groups[0]["lr"])
        states.append((state["stage"], state["step"]))

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "save_checkpoint", note)
    loop.train(plan, tmp_path, bpe, DOCUMENTS, lambda progress: None)
    full = [8e-3, 6e-3, 4e-3, 1e-3, 1e-3]
    assert rates == pytest.approx([rate * min(1, step / 4) for step, rate in enumerate(full, 1)])
    assert states == [(0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
