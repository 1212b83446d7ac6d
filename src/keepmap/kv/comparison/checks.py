"""Results that must agree, since the methods are the same by their definitions, and states that must not."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError
from keepmap.kv.comparison.plan import STREAMING, VALIDATION
from keepmap.kv.comparison.results import SampleResult
from keepmap.kv.data.texts import TextSample

__all__ = ["check_validation", "is_near", "is_wide"]


def check_validation(validation: Mapping[str, tuple[SampleResult, KeepMap]], sample: TextSample) -> None:
    """Whether StreamingLLM and Random(threshold=1.0), where both are there, agree on a sample to the last bit.

    Raises:
        ImpossibleResultError: they do not.
    """
    if len(validation) < 2:
        return
    (streaming, streaming_map), (random, random_map) = validation[STREAMING], validation[VALIDATION]
    same_maps = torch.equal(streaming_map.expires, random_map.expires) and torch.equal(
        streaming_map.kept(), random_map.kept()
    )
    if not same_maps or streaming.nll != random.nll:
        raise ImpossibleResultError(
            f"StreamingLLM and Random(threshold=1.0) disagree on sample {sample.index} ({sample.where}): "
            f"NLL {streaming.nll!r} and {random.nll!r}, {'equal' if same_maps else 'different'} expiries; "
            "they must be equal to the last bit"
        )


def is_wide(states: Float[Tensor, "N d"]) -> bool:
    """Whether rounding does not show in them."""
    return states.element_size() >= 4


def is_near(states: Float[Tensor, "N d"], full: Float[Tensor, "N d"]) -> bool:
    """Whether states could be those of the full cache but for rounding."""
    return float((states - full).abs().max()) <= (1e-3 if is_wide(full) else 0.2) * float(full.abs().max())
