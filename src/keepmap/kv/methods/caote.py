"""What dropping an entry would change, if another method's scores were the attention."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.errors import InputError
from keepmap.kv.method import HeldInput
from keepmap.kv.scoring.ranking import MOST
from keepmap.kv.scoring.wrapping import Wrapped

__all__ = ["CAOTE"]

_MOST = 1.0 - 2.0**-20
"""Where an entry has all of it, there is no output without it."""


@dataclass(frozen=True)
class CAOTE(Wrapped):
    """The change of the head's output if the entry alone were dropped, with the scores of `base` as the attention.

    The scores over their sum are the share a of each entry, and the output o is the sum of all values times their
    shares: the score is a / (1 - a) * ||v - o||. Positions of the base's observing queries have no part in it, and
    score float32's largest number.

    Attributes:
        base: the method whose scores are taken: any that scores what is held anew, by numbers of 0 or more. Sinks and
            window are its own.

    Reference: Goel et al. 2025, arXiv:2504.14051; the score as its summaries give it (c_j = a_j / (1 - a_j) *
        ||V A' - v_j||, and the normalisation for H2O), the text itself was not read.
    Differs from the paper: `h2o` is no base, as its scores are sums that the cache keeps; what `snapkv` and `tova`
        protect, their own last positions, is left out of the output; of several entries at one decision each is judged
        as if it alone went.
    """

    name: ClassVar[str] = "caote"
    label: ClassVar[str] = "CAOTE"

    def __post_init__(self) -> None:
        super().__post_init__()
        # What is smoothed over neighbours gives some of what no query sees a share of the output.
        object.__setattr__(self, "needs_hidden", self.scorer.needs_hidden or hasattr(self.scorer, "kernel"))

    def score(self, held: HeldInput) -> Float[Tensor, "G K"]:
        """The change of the output.

        Raises:
            InputError: the base scores below 0.
        """
        counted = held.is_held & ~held.is_observer
        scores = self.scorer.score(held).double().masked_fill(~counted, 0.0)
        if bool((scores < 0).any()):
            raise InputError(
                f"expected the `base` of caote to score 0 or more, got {self.base}, which scored "
                f"{float(scores.min()):.3g}; take one that scores by attention, as snapkv or tova"
            )
        shares = scores / scores.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        values = held.values.double()
        apart = (values - shares[:, None] @ values).norm(dim=-1)
        shares = shares.clamp(max=_MOST)
        return torch.where(held.is_observer, MOST, shares / (1.0 - shares) * apart)
