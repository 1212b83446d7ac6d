"""What dropping entries does to predictions, per predicted token. R rows, V vocabulary; everything in float64."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["divergence", "negative_log_likelihood", "top1_agreement"]


def negative_log_likelihood(logits: Float[Tensor, "R V"], targets: Int[Tensor, " R"]) -> Float[Tensor, " R"]:
    """-log p(target), in nats."""
    wide = logits.double()
    return wide.logsumexp(1) - wide.gather(1, targets[:, None])[:, 0]


def divergence(full: Float[Tensor, "R V"], evicted: Float[Tensor, "R V"]) -> Float[Tensor, " R"]:
    """KL(full || evicted), in nats: 0 where both predict the same, never below."""
    p, q = full.double().log_softmax(1), evicted.double().log_softmax(1)
    # A logit of -inf (a masked word) has no probability in either, and adds nothing.
    terms = torch.where(torch.isneginf(p), 0.0, p.exp() * (p - q))
    return terms.sum(1).clamp(min=0)


def top1_agreement(full: Float[Tensor, "R V"], evicted: Float[Tensor, "R V"]) -> Bool[Tensor, " R"]:
    """Whether both find the same token the likeliest (the first one on a tie)."""
    return full.argmax(1) == evicted.argmax(1)
