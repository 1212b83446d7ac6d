"""Results that must agree, since the methods are the same by their definitions."""

from collections.abc import Mapping

import torch

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError
from keepmap.kv.comparison.plan import STREAMING, VALIDATION
from keepmap.kv.comparison.results import SampleResult
from keepmap.kv.data.texts import TextSample

__all__ = ["check_validation"]


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
