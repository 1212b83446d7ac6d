"""What the embedded model can do: recall with the full cache and with a recent one, and loss on held-out prose."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from keepmap.kv.data.corpus import held_out_documents
from keepmap.kv.data.facts import TokenProbe, prose_probe, tokenize_probe

__all__ = ["SINKS", "WINDOW", "Recall", "evaluation_probes", "measure_recall", "prose_loss", "recall_table"]

SINKS, WINDOW = 4, 128  # StreamingLLM's, as the bar has them


@dataclass(frozen=True)
class Recall:
    """Digits right when each is predicted from the true text before it, over facts that have left the window."""

    full: float
    streaming: float
    digits: int


def evaluation_probes(tokenizer: Any, length: int, count: int, seed: int, *, dense: float = 0.0) -> list[TokenProbe]:
    """Fresh probes of at most `length` tokens: held-out prose, held-out pairs, one fact to about 64 tokens."""
    rng = random.Random(f"evaluation:{seed}:{length}:{dense}")
    documents = held_out_documents()
    facts = max(2, min(48, length // 64))

    def measure(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return [
        tokenize_probe(
            prose_probe(rng, documents, length, facts, evaluation=True, dense=dense, gap=WINDOW + 32, measure=measure),
            tokenizer,
        )
        for _ in range(count)
    ]


def recall_table(model: Any, tokenizer: Any, *, miniature: bool = False) -> dict[str, Recall]:
    """Recall by kind and length of text, for the card."""
    table = {}
    for length, count in ((512, 4),) if miniature else ((1024, 40), (2048, 16), (4096, 8)):
        for kind, dense in (("sentences", 0.0), ("lists", 1.0)):
            probes = evaluation_probes(tokenizer, length, count, seed=1, dense=dense)
            table[f"prose with {kind}, {length:,} tokens"] = measure_recall(model, probes)
    return table


@torch.inference_mode()
def measure_recall(model: Any, probes: Sequence[TokenProbe], *, sinks: int = SINKS, window: int = WINDOW) -> Recall:
    """Recall of the facts whose last digit is more than `window` tokens before the first one asked."""
    right = {False: 0, True: 0}
    digits = 0
    for probe in probes:
        positions = [
            at
            for stated, answer in zip(probe.stated, probe.answers, strict=True)
            if answer[0] - 1 - stated[-1] > window
            for at in answer
        ]
        digits += len(positions)
        ids = torch.tensor([probe.ids])
        index = torch.tensor(positions, dtype=torch.long)
        for streaming in right:
            mask = streaming_mask(len(probe.ids), sinks, window, model.dtype) if streaming else torch.ones_like(ids)
            predicted = model(ids, attention_mask=mask, use_cache=False).logits[0, index - 1].argmax(dim=-1)
            right[streaming] += int((predicted == ids[0, index]).sum())
    return Recall(right[False] / max(1, digits), right[True] / max(1, digits), digits)


def streaming_mask(n: int, sinks: int, window: int, dtype: torch.dtype) -> Float[Tensor, "1 1 {n} {n}"]:
    """Additive mask: query i sees j <= i if j is one of the sinks or at most `window` back."""
    query, key = torch.arange(n)[:, None], torch.arange(n)[None, :]
    visible = (key <= query) & ((key < sinks) | (query - key <= window))
    return torch.zeros(n, n, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)[None, None]


@torch.inference_mode()
def prose_loss(model: Any, tokenizer: Any, length: int = 1024) -> tuple[float, float]:
    """Mean loss on the held-out topics in pieces of `length` tokens: nats per token, and bits per byte."""
    text = "\n\n".join("\n\n".join(pieces) for pieces in held_out_documents())
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = torch.tensor(encoded["input_ids"])
    total, tokens, size = 0.0, 0, 0
    for start in range(0, len(ids) - length + 1, length):
        piece = ids[None, start : start + length]
        logits = model(piece, use_cache=False).logits[0, :-1].float()
        total += float(cross_entropy(logits, piece[0, 1:], reduction="sum"))
        tokens += length - 1
        spans = encoded["offset_mapping"][start + 1 : start + length]
        size += len(text[spans[0][0] : spans[-1][1]].encode())
    return total / tokens, total / size / math.log(2)
