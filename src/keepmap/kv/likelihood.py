"""How well a text is predicted from last hidden states, in blocks of rows: never all logits of a long text at once."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from keepmap.core.metrics import Predicted
from keepmap.errors import ImpossibleResultError

__all__ = ["Likelihood", "measure_likelihood", "measure_likelihoods"]

LOGITS_AT_ONCE = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Sums over the P predicted tokens of one text: nats of NLL and KL, tokens of agreement.

    Attributes:
        token_nll, token_kl: the same nats of each token.
    """

    n_predicted: int
    nll: float
    kl: float
    n_agreed: int
    token_nll: Float32[np.ndarray, " P"] = field(compare=False, repr=False)
    token_kl: Float32[np.ndarray, " P"] = field(compare=False, repr=False)


@torch.inference_mode()
def measure_likelihoods(
    head: Callable[[Tensor], Tensor],
    vocab_size: int,
    input_ids: Int[Tensor, " N"],
    hidden_states: Mapping[str, Float[Tensor, "N d"]],
    reference: Float[Tensor, "N d"],
    context_length: int = 1,
) -> dict[str, Likelihood]:
    """Predict each next token from several passes, and compare with the predictions from `reference`, made once.

    A pass is computed as it would be alone: what it is measured with changes no bit. Sums are exact to the last bit
    whatever the block size: each token's value is rounded once, then added by `math.fsum`.

    Args:
        head: hidden states [R, d] -> logits [R, V]. vocab_size: V.
        hidden_states: the method and sample, as error messages name them -> last hidden states.
        reference: last hidden states with the full cache; may be among them.
        context_length: the tokens after the first so many are predicted.

    Raises:
        ImpossibleResultError: a value that is not finite.
    """
    targets = input_ids.to(reference.device)[1:]
    # A pass that stands there under two names is measured once.
    first = {
        what: next(name for name in hidden_states if hidden_states[name] is states)
        for what, states in hidden_states.items()
    }
    distinct = {name: hidden_states[name] for name in first.values()}
    nll: dict[str, list[float]] = {what: [] for what in distinct}
    kl: dict[str, list[float]] = {what: [] for what in distinct}
    agreed = dict.fromkeys(distinct, 0)
    for rows in blocks(len(targets), vocab_size, context_length - 1):
        predicted = Predicted.of(head(reference[rows]))
        for what, states in distinct.items():
            if states is reference:
                of_tokens = predicted.against_itself(targets[rows])
            else:
                of_tokens = predicted.against(head(states[rows]), targets[rows])
            nll[what] += of_tokens[0].tolist()
            kl[what] += of_tokens[1].tolist()
            agreed[what] += int(of_tokens[2].sum())
    for what in distinct:
        _check(nll[what], "negative log-likelihood", what, context_length)
        _check(kl[what], "KL divergence", what, context_length)
    measured = {
        what: Likelihood(
            n_predicted=len(nll[what]),
            nll=math.fsum(nll[what]),
            kl=math.fsum(kl[what]),
            n_agreed=agreed[what],
            token_nll=np.array(nll[what], np.float32),
            token_kl=np.array(kl[what], np.float32),
        )
        for what in distinct
    }
    return {what: measured[name] for what, name in first.items()}


def measure_likelihood(
    head: Callable[[Tensor], Tensor],
    vocab_size: int,
    input_ids: Int[Tensor, " N"],
    hidden_states: Float[Tensor, "N d"],
    reference: Float[Tensor, "N d"],
    what: str,
    context_length: int = 1,
) -> Likelihood:
    """The same of a single pass, which errors call `what`.

    Raises:
        ImpossibleResultError: a value that is not finite.
    """
    return measure_likelihoods(head, vocab_size, input_ids, {what: hidden_states}, reference, context_length)[what]


def _check(values: list[float], name: str, what: str, first: int) -> None:
    bad = next((token for token, value in enumerate(values, start=first) if not math.isfinite(value)), None)
    if bad is not None:
        raise ImpossibleResultError(
            f"the {name} of {what} is {values[bad - first]} at token {bad}: "
            "the model's weights are damaged, or its numbers overflow (try dtype=float32)"
        )


def blocks(n: int, vocab_size: int, first: int = 0) -> Iterator[slice]:
    """first..n-1 in slices of rows whose logits are few enough to be held at once."""
    size = max(1, LOGITS_AT_ONCE // vocab_size)
    return (slice(start, min(start + size, n)) for start in range(first, n, size))
