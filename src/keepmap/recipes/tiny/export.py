"""Write the finished model, its surrogates and its card as one folder that Hugging Face's loaders read."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepmap.recipes.tiny.evaluate import SINKS, WINDOW, Recall

__all__ = ["Figures", "export", "write_card"]

CARD = """\
---
license: apache-2.0
---

# tiny: the language model that keepmap carries

A Llama of {parameters:,} parameters ({layers} layers, {heads} heads of {head_dim}, hidden {hidden}, vocabulary
{vocabulary}), float32, made to show what evicting cache entries costs: it reads Python's documentation, and recalls
facts ("The code of river is 4821.") that stand in its context. It knows nothing else.

    python -m keepmap.recipes.tiny --out DIR

made this folder (`DIR/tiny`) with seed {seed} in {minutes:.0f} minutes of training on two CPU cores with AMX, shared
with other programs, from prose that every CPython carries (`pydoc_data.topics`, the standard library's docstrings;
here Python {python}) mixed with generated facts. The optimizer's arithmetic is
float32, the matrix products' bfloat16; another machine's last bits differ, the figures below hardly do.

## Measured

Recall is the share of digits that are the most likely token given the true text before them, over facts that have left
the window ({window} tokens); held-out prose, and (word, code) pairs that training never generates. StreamingLLM sees
{sinks} sinks and the window. Ten digits: chance is 10 %. Expected of another run: full cache at least 95 % at 1,024
tokens, StreamingLLM at most 25 %.

| text | full cache | StreamingLLM | digits |
|---|---:|---:|---:|
{recall}

Held-out prose in pieces of 1,024 tokens: {nats:.3f} nats per token, {bits:.3f} bits per byte.

## KVzap surrogates

`kvzap-linear/` and `kvzap-mlp/` predict each cache entry's log KVzip+ score from its layer's attention input
(arXiv 2601.07891), in the files' layout of `nvidia/KVzap-*`. Share of the scores' variance that they explain on
held-out texts, mean over layers and heads, and the range:

| surrogate | mean | least | most |
|---|---:|---:|---:|
{surrogates}
"""


@dataclass(frozen=True)
class Figures:
    """What was measured of the model and its surrogates, for the card."""

    recall: dict[str, Recall]
    nats_per_token: float
    bits_per_byte: float
    explained: dict[str, tuple[float, float, float]]  # surrogate -> mean, least, most


def export(
    folder: Path,
    model: Any,
    tokenizer: Any,
    save_surrogates: Mapping[str, Callable[[Path], None]],
    card: str,
) -> None:
    """Write the folder beside its place and move it there, so a finished folder is a whole one."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    for kind, save in save_surrogates.items():
        save(partial / f"kvzap-{kind}")
    (partial / "README.md").write_text(card, encoding="utf-8")
    for path in partial.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes files for their owner alone; a package's are for everyone
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_card(model: Any, figures: Figures, *, seed: int, seconds: float, python: str) -> str:
    """The model card, with the figures as measured."""
    config = model.config
    recall = "\n".join(
        f"| {name} | {row.full:.1%} | {row.streaming:.1%} | {row.digits:,} |" for name, row in figures.recall.items()
    )
    explained = "\n".join(
        f"| {kind} | {mean:.2f} | {least:.2f} | {most:.2f} |" for kind, (mean, least, most) in figures.explained.items()
    )
    return CARD.format(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        head_dim=config.head_dim,
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        seed=seed,
        minutes=seconds / 60,
        python=python,
        recall=recall,
        nats=figures.nats_per_token,
        bits=figures.bits_per_byte,
        surrogates=explained,
        sinks=SINKS,
        window=WINDOW,
    )
