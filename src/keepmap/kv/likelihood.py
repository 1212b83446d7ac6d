"""How well a text is predicted from last hidden states, in blocks of rows: never all logits of a long text at once."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.core.metrics import divergence, negative_log_likelihood, top1_agreement
from keepmap.errors import ImpossibleResultError

__all__ = ["Likelihood", "measure_likelihood"]

LOGITS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Likelihood:
    """Sums over the predicted tokens of one text (all but the first): nats of NLL and KL, tokens of agreement."""

    n_predicted: int
    nll: float
    kl: float
    n_agreed: int


@torch.inference_mode()
def measure_likelihood(
    head: Callable[[Tensor], Tensor],
    vocab_size: int,
    input_ids: Int[Tensor, " N"],
    hidden_states: Float[Tensor, "N d"],
    reference: Float[Tensor, "N d"],
    what: str,
) -> Likelihood:
    """Predict each next token from `hidden_states`, and compare with the predictions from `reference`.

    Sums are exact to the last bit whatever the block size: each token's value is rounded once, then added by
    `math.fsum`.

    Args:
        head: hidden states [R, d] -> logits [R, V]. vocab_size: V.
        reference: last hidden states with the full cache.
        what: the method and sample, for the error message.

    Raises:
        ImpossibleResultError: a value that is not finite.
    """
    targets = input_ids.to(hidden_states.device)[1:]
    nll: list[float] = []
    kl: list[float] = []
    agreed = 0
    for rows in blocks(len(targets), vocab_size):
        logits, full = head(hidden_states[rows]), head(reference[rows])
        nll += negative_log_likelihood(logits, targets[rows]).tolist()
        kl += divergence(full, logits).tolist()
        agreed += int(top1_agreement(full, logits).sum())
    for name, values in (("negative log-likelihood", nll), ("KL divergence", kl)):
        bad = next((token for token, value in enumerate(values, start=1) if not math.isfinite(value)), None)
        if bad is not None:
            raise ImpossibleResultError(
                f"the {name} of {what} is {values[bad - 1]} at token {bad}: "
                "the model's weights are damaged, or its numbers overflow (try dtype=float32)"
            )
    return Likelihood(len(targets), math.fsum(nll), math.fsum(kl), agreed)


def blocks(n: int, vocab_size: int) -> Iterator[slice]:
    """0..n-1 in slices of rows whose logits are few enough to be held at once."""
    size = max(1, LOGITS_AT_ONCE // vocab_size)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
