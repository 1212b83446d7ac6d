"""The training loop: through the stages of a recipe, going on from the last checkpoint."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from keepmap.errors import InputError
from keepmap.recipes.tiny.batches import TokenBatch, make_batch
from keepmap.recipes.tiny.checkpoint import load_checkpoint, read_state, save_checkpoint
from keepmap.recipes.tiny.progress import Clock, Progress
from keepmap.recipes.tiny.recipe import Recipe

__all__ = ["build_model", "train"]

CHECKPOINT_SECONDS = 60.0


def build_model(recipe: Recipe) -> LlamaForCausalLM:
    """A fresh model of the recipe's sizes; the same seed gives the same weights."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        head_dim=recipe.hidden // recipe.heads,
        max_position_embeddings=recipe.positions,
        rope_parameters={"rope_type": "default", "rope_theta": recipe.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config)


def train(
    recipe: Recipe,
    folder: Path,
    tokenizer: Tokenizer,
    documents: Sequence[Sequence[str]],
    report: Callable[[Progress], None],
) -> tuple[LlamaForCausalLM, float]:
    """Train the recipe's model to the end, from the folder's checkpoint if there is one; it and the seconds it took.

    Raises:
        InputError: if the checkpoint is of another recipe.
    """
    model = build_model(recipe)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=recipe.weight_decay)
    state = read_state(folder) or {"recipe": recipe.describe(), "stage": 0, "step": 0, "seconds": 0.0}
    if state["recipe"] != recipe.describe():
        raise InputError(f"the checkpoint in {folder} is of another recipe; give another folder or delete it")
    if state["stage"] or state["step"]:
        load_checkpoint(folder, model, optimizer)
    clock = Clock(recipe)
    begun = time.monotonic() - state["seconds"]
    saved = time.monotonic()
    done = sum(stage.steps for stage in recipe.stages[: state["stage"]]) + state["step"]
    for index in range(state["stage"], len(recipe.stages)):
        stage = recipe.stages[index]
        for step in range(state["step"] if index == state["stage"] else 0, stage.steps):
            started = time.monotonic()
            share = step / stage.steps
            rate = stage.rate[0] + share * (stage.rate[1] - stage.rate[0])
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (done + 1) / recipe.warm_up)
            batch = make_batch(recipe.seed, stage, step, tokenizer, documents)
            recall_loss, recall, prose_loss = _losses(model, batch)
            (recall_loss + stage.prose_weight * prose_loss).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            left = clock.left(index, step, time.monotonic() - started)
            report(
                Progress(
                    stage=stage.name,
                    step=step + 1,
                    steps=stage.steps,
                    recall_loss=recall_loss.item(),
                    recall=recall,
                    prose_loss=prose_loss.item(),
                    seconds_left=left,
                )
            )
            if time.monotonic() - saved > CHECKPOINT_SECONDS or step + 1 == stage.steps:
                at = {"stage": index, "step": step + 1} if step + 1 < stage.steps else {"stage": index + 1, "step": 0}
                saved = time.monotonic()
                save_checkpoint(folder, model, optimizer, {"recipe": recipe.describe(), **at, "seconds": saved - begun})
    return model.eval(), time.monotonic() - begun


def _losses(model: LlamaForCausalLM, batch: TokenBatch) -> tuple[Float[Tensor, ""], float, Float[Tensor, ""]]:
    """Mean loss over the tokens to recall, the share of them that the model puts first, mean loss over prose."""
    with torch.autocast("cpu", torch.bfloat16):
        # The mask is given because positions that jump would else be taken for packed sequences.
        logits = model(
            batch.ids, attention_mask=torch.ones_like(batch.ids), position_ids=batch.positions, use_cache=False
        ).logits
    logits, targets = logits[:, :-1].float(), batch.ids[:, 1:]
    losses = cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    recalled, prose = batch.recalled[:, 1:], batch.prose[:, 1:]
    right = (logits.argmax(dim=-1) == targets)[recalled].float().mean()
    zero = losses.sum() * 0.0
    recall_loss = losses[recalled].mean() if recalled.any() else zero
    return recall_loss, float(right), losses[prose].mean() if prose.any() else zero
