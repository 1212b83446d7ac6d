"""Batches of the curriculum. A batch depends on (seed, stage, step) alone, so a run can go on from any step."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from tokenizers import Tokenizer
from torch import Tensor

from keepmap.kv.data.facts import Probe, list_probe, locate, prose_probe
from keepmap.recipes.tiny.recipe import Stage

__all__ = ["TokenBatch", "make_batch"]

LIST_TOKENS_PER_FACT = 16  # a fact in a list and its question take eight tokens each
PROSE_TOKENS_PER_FACT = 36  # a little less than a sentence, a question and its answer take


@dataclass(frozen=True)
class TokenBatch:
    """Tokens; which of them are to be recalled and which are prose; their positions."""

    ids: Int64[Tensor, "B N"]
    recalled: Bool[Tensor, "B N"]
    prose: Bool[Tensor, "B N"]
    positions: Int64[Tensor, "B N"]


def make_batch(
    seed: int, stage: Stage, step: int, tokenizer: Tokenizer, documents: Sequence[Sequence[str]]
) -> TokenBatch:
    """The batch of this step: rows are copies, lists and prose by the stage's shares, padded with token 0."""
    rng = random.Random(f"{seed}:{stage.name}:{step}")
    vocabulary = tokenizer.get_vocab_size()
    ids = torch.zeros(stage.batch, stage.length, dtype=torch.long)
    recalled = torch.zeros(stage.batch, stage.length, dtype=torch.bool)
    prose = torch.zeros(stage.batch, stage.length, dtype=torch.bool)
    n_copies = round(stage.shares.copies * stage.batch)
    n_lists = round(stage.shares.lists * stage.batch)
    for row in range(n_copies):
        tokens, first_repeated = _copy_row(rng, stage.length, vocabulary)
        ids[row] = torch.tensor(tokens)
        recalled[row, first_repeated:] = True
    probes = [_list(rng, stage) for _ in range(n_lists)]
    probes += [_prose(rng, stage, tokenizer, documents) for _ in range(stage.batch - n_copies - n_lists)]
    encoded = tokenizer.encode_batch([probe.text for probe in probes], add_special_tokens=False)
    for row, (probe, encoding) in enumerate(zip(probes, encoded, strict=True), start=n_copies):
        located = locate(probe, encoding.ids, encoding.offsets)
        n = min(len(located.ids), stage.length)
        ids[row, :n] = torch.tensor(located.ids[:n])
        prose[row, :n] = True
        # What is stated is random: nothing to learn. What is asked counts as recall.
        prose[row, [at for digits in located.stated + located.answers for at in digits if at < n]] = False
        recalled[row, [at for digits in located.answers for at in digits if at < n]] = True
    return TokenBatch(ids, recalled, prose, _positions(rng, stage))


def _copy_row(rng: random.Random, length: int, vocabulary: int) -> tuple[list[int], int]:
    """Random tokens repeated with a random period, and where a token's predecessor has first been seen before.

    The period varies, so that position alone does not tell what to copy.
    """
    period = rng.randint(length // 8, length // 2)
    segment = [rng.randrange(vocabulary) for _ in range(period)]
    return [segment[at % period] for at in range(length)], period + 1


def _list(rng: random.Random, stage: Stage) -> Probe:
    most = min(stage.facts, stage.length // LIST_TOKENS_PER_FACT - 1)
    return list_probe(rng, rng.randint(max(1, most // 2), most))


def _prose(rng: random.Random, stage: Stage, tokenizer: Tokenizer, documents: Sequence[Sequence[str]]) -> Probe:
    most = max(1, min(stage.facts, stage.length // PROSE_TOKENS_PER_FACT - 1))
    return prose_probe(
        rng,
        documents,
        stage.length,
        rng.randint(max(1, most // 4), most),
        dense=rng.choice((0.0, 0.5, 1.0)),
        measure=lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids),
    )


def _positions(rng: random.Random, stage: Stage) -> Int64[Tensor, "B N"]:
    """Positions that jump ahead at two random places of each row.

    Recall then works at distances that are longer than the rows (arXiv 2309.10400).
    """
    steps = torch.ones(stage.batch, stage.length, dtype=torch.long)
    steps[:, 0] = 0
    if stage.stretch:
        for row in range(stage.batch):
            total = rng.randint(0, stage.stretch)
            first = rng.randint(0, total)
            steps[row, rng.randrange(1, stage.length)] += first
            steps[row, rng.randrange(1, stage.length)] += total - first
    return steps.cumsum(dim=1)
