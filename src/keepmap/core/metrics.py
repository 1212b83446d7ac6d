"""What dropping entries does to predictions, per predicted token. R rows, V vocabulary; everything in float64."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Predicted", "divergence", "negative_log_likelihood", "top1_agreement"]

_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 24}
"""Numbers that are worked on together: on a CPU, what a core's cache holds."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a reference predicts, prepared once for all that is compared with it.

    Attributes:
        logits: [R, V].
        p: [R, V], their probabilities.
        log_sum, inner: [R], their log-sum-exp, and the sum of p * logits.
        top: [R], the likeliest word, the first on a tie.
    """

    logits: Float[Tensor, "R V"]
    p: Float[Tensor, "R V"]
    log_sum: Float[Tensor, " R"]
    inner: Float[Tensor, " R"]
    top: Int[Tensor, " R"]

    @classmethod
    def of(cls, logits: Float[Tensor, "R V"]) -> "Predicted":
        """What is known of a prediction before another is compared with it, computed once from its logits."""
        p = torch.empty(logits.shape, dtype=torch.float64, device=logits.device)
        log_sum = _log_sum(logits, p)
        return cls(logits, p, log_sum, _inner(p, logits), logits.argmax(1))

    def against_itself(
        self, targets: Int[Tensor, " R"]
    ) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"], Bool[Tensor, " R"]]:
        """The same of the reference itself: it differs from itself in nothing."""
        kl = torch.where(self.log_sum.isfinite(), 0.0, self.log_sum)
        return self.log_sum - _at(self.logits, targets), kl, torch.ones_like(self.top, dtype=torch.bool)

    def against(
        self, evicted: Float[Tensor, "R V"], targets: Int[Tensor, " R"]
    ) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"], Bool[Tensor, " R"]]:
        """Negative log-likelihood, `divergence` and `top1_agreement` of others, each read once."""
        inner, log_sum = self.inner.new_empty(len(targets)), self.inner.new_empty(len(targets))
        for rows in _slices(evicted):
            wide = evicted[rows].to(torch.float64, copy=True)
            inner[rows] = torch.linalg.vecdot(self.p[rows], wide)
            log_sum[rows] = _exponentials(wide)[0]
        kl = ((self.inner - self.log_sum) - (inner - log_sum)).clamp(min=0)
        if not bool(kl.isfinite().all()):
            # A word that is impossible to either: what it adds is decided word by word.
            kl = divergence(self.logits, evicted)
        return log_sum - _at(evicted, targets), kl, self.top == evicted.argmax(1)


def negative_log_likelihood(logits: Float[Tensor, "R V"], targets: Int[Tensor, " R"]) -> Float[Tensor, " R"]:
    """-log p(target), in nats."""
    return _log_sum(logits) - _at(logits, targets)


def divergence(full: Float[Tensor, "R V"], evicted: Float[Tensor, "R V"]) -> Float[Tensor, " R"]:
    """KL(full || evicted), in nats: 0 where both predict the same, never below."""
    p, q = full.double().log_softmax(1), evicted.double().log_softmax(1)
    # A logit of -inf (a masked word) has no probability in either, and adds nothing.
    terms = torch.where(torch.isneginf(p), 0.0, p.exp() * (p - q))
    return terms.sum(1).clamp(min=0)


def top1_agreement(full: Float[Tensor, "R V"], evicted: Float[Tensor, "R V"]) -> Bool[Tensor, " R"]:
    """Whether both find the same token the likeliest (the first one on a tie)."""
    return full.argmax(1) == evicted.argmax(1)


def _log_sum(logits: Float[Tensor, "R V"], p: Float[Tensor, "R V"] | None = None) -> Float[Tensor, " R"]:
    """The log-sum-exp of each row; its softmax is written into `p`."""
    normalisers = torch.empty(logits.shape[0], dtype=torch.float64, device=logits.device)
    for rows in _slices(logits):
        wide = logits[rows].to(torch.float64, copy=True)
        normalisers[rows], total = _exponentials(wide)
        if p is not None:
            torch.div(wide, total[:, None], out=p[rows])
    return normalisers


def _exponentials(wide: Float[Tensor, "R V"]) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """The log-sum-exp of each row, which becomes its exponentials over the largest; and the sum of these."""
    most = wide.amax(1, keepdim=True)
    total = wide.sub_(most).exp_().sum(1)
    return most[:, 0] + total.log(), total


def _inner(p: Float[Tensor, "R V"], logits: Float[Tensor, "R V"]) -> Float[Tensor, " R"]:
    return torch.cat([torch.linalg.vecdot(p[rows], logits[rows].double()) for rows in _slices(logits)])


def _at(logits: Float[Tensor, "R V"], targets: Int[Tensor, " R"]) -> Float[Tensor, " R"]:
    return logits.gather(1, targets[:, None])[:, 0].double()


def _slices(logits: Float[Tensor, "R V"]) -> list[slice]:
    size = max(1, _AT_ONCE.get(logits.device.type, 1 << 16) // logits.shape[1])
    return [slice(start, start + size) for start in range(0, logits.shape[0], size)]
