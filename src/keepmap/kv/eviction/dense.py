"""The model's own forward pass, for the baseline."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.kv.eviction.checks import check_supported
from keepmap.kv.passes import in_eval_mode
from keepmap.language_model import LanguageModel

__all__ = ["dense"]


def dense(language_model: LanguageModel, input_ids: Int[Tensor, " N"]) -> Float[Tensor, "N hidden"]:
    """Last hidden states of one text, with the attention that the model came with.

    Raises:
        ModelError: the model is not supported.
    """
    check_supported(language_model)
    with torch.no_grad(), in_eval_mode(language_model.model):
        output = language_model.body(input_ids=input_ids.to(language_model.device)[None], use_cache=False)
    return output.last_hidden_state[0]
