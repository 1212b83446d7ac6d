"""The embedded model's KVzap surrogates: which texts they are trained and judged on."""

import random
from collections.abc import Sequence
from typing import Any

from keepmap.kv.data.corpus import held_out_documents
from keepmap.kv.data.facts import prose_probe
from keepmap.kv.surrogate import KVzapSurrogate
from keepmap.kv.surrogate_training import collect_positions, explained_variance, train_linear, train_mlp

__all__ = ["train_surrogates"]

CONTEXT = 1024
HIDDEN = 64  # of the MLP: eight times fewer than the paper's, for a model that is as much smaller


def train_surrogates(
    model: Any, tokenizer: Any, documents: Sequence[Sequence[str]], seed: int, *, miniature: bool = False
) -> tuple[dict[str, KVzapSurrogate], dict[str, tuple[float, float, float]]]:
    """Surrogates by kind, and the variance each explains on held-out texts: mean, least and most of the heads."""
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

    train = collect_positions(model, tokenizer, texts(documents, n_train, False), seed=seed)
    test = collect_positions(model, tokenizer, texts(held_out_documents(), n_test, True), seed=seed)
    surrogates = {"linear": train_linear(train), "mlp": train_mlp(train, hidden_dim=HIDDEN, seed=seed)}
    explained = {}
    for kind, surrogate in surrogates.items():
        shares = explained_variance(surrogate, test)
        explained[kind] = (float(shares.mean()), float(shares.min()), float(shares.max()))
    return surrogates, explained
