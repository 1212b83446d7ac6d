"""The embedded model's KVzap surrogates: which texts they are trained and judged on."""

import random
from collections.abc import Sequence
from typing import Any

from keepmap.kv.data.facts import prose_probe
from keepmap.kv.surrogate_training import TrainedSurrogate, train_surrogate
from keepmap.language_model import load_language_model

__all__ = ["train_surrogates"]

CONTEXT = 1024
HIDDEN = 64  # of the MLP: eight times fewer than the paper's, for a model that is as much smaller


def train_surrogates(
    model: Any,
    tokenizer: Any,
    documents: Sequence[Sequence[str]],
    held_out: Sequence[Sequence[str]],
    seed: int,
    *,
    miniature: bool = False,
) -> dict[str, TrainedSurrogate]:
    """Surrogates by kind, which learn from texts of `documents` and are judged on texts of `held_out`."""
    n_train, n_test = (2, 1) if miniature else (96, 12)
    rng = random.Random(f"surrogates:{seed}")

    def measure(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    def texts(source: Sequence[Sequence[str]], count: int, evaluation: bool) -> list[str]:
        return [
            prose_probe(
                rng, source, CONTEXT, rng.randint(2, 20),
                evaluation=evaluation, dense=rng.choice((0.0, 0.5, 1.0)), measure=measure,
            ).text
            for _ in range(count)
        ]  # fmt: skip

    language_model = load_language_model(model, tokenizer)
    train, test = texts(documents, n_train, False), texts(held_out, n_test, True)
    return {
        kind: train_surrogate(language_model, train, kind=kind, held_out=test, hidden_dim=hidden_dim, seed=seed)
        for kind, hidden_dim in (("linear", None), ("mlp", HIDDEN))
    }
