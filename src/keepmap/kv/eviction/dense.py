"""Passes without eviction: the model's own, for the baseline, and one over a text that is read twice.

L layer · G KV head · N positions.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.errors import InputError
from keepmap.kv.eviction.checks import check_supported, full_attention
from keepmap.kv.passes import LayerCall, in_eval_mode, run
from keepmap.kv.scoring.ahead import strongest
from keepmap.language_model import LanguageModel

__all__ = ["between_readings", "dense", "read_twice"]

_BETWEEN = ("\n\nRepeat the previous context exactly.", "\n")
"""What stands between two readings, by pieces that are tokenised one by one."""


def dense(language_model: LanguageModel, input_ids: Int[Tensor, " N"]) -> Float[Tensor, "N hidden"]:
    """Last hidden states of one text, with the attention that the model came with.

    Raises:
        ModelError: the model is not supported.
    """
    check_supported(language_model)
    with torch.no_grad(), in_eval_mode(language_model.model):
        output = language_model.body(input_ids=input_ids.to(language_model.device)[None], use_cache=False)
    return output.last_hidden_state[0]


def between_readings(language_model: LanguageModel, n: int) -> list[int]:
    """The tokens between two readings of a text of n tokens: the instruction, where the model has a tokenizer.

    Raises:
        InputError: the text does not fit into the model's positions twice.
    """
    tokenizer, most = language_model.tokenizer, language_model.max_positions
    between: list[int] = []
    if tokenizer is not None:
        between = [token for piece in _BETWEEN for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]
    whole = 2 * n + len(between)
    if most is not None and whole > most:
        raise InputError(
            f"a text of {n:,} tokens is read twice by kvzip, in {whole:,} positions, and the model has {most:,}; give "
            f"{(most - len(between)) // 2:,} tokens or fewer, or leave kvzip out"
        )
    return between


def read_twice(language_model: LanguageModel, input_ids: Int[Tensor, " N"]) -> Float[Tensor, "L G N"]:
    """The most that any token of a second reading pays to each position of the first one; on the CPU.

    The second one begins with the instruction to repeat the text, where the model has a tokenizer.

    Raises:
        InputError: the text does not fit into the model's positions twice.
        ModelError: the model is not supported.
    """
    n = len(input_ids)
    between = between_readings(language_model, n)
    whole = 2 * n + len(between)
    check_supported(language_model)
    twice = torch.cat([input_ids, torch.tensor(between, dtype=input_ids.dtype, device=input_ids.device), input_ids])
    layers: dict[int, Tensor] = {}

    def attend(call: LayerCall) -> Tensor:
        layers[call.layer] = strongest(call, range(n, whole), range(n)).cpu()
        return full_attention(call)

    run(language_model.model, language_model.body, twice, attend)
    return torch.stack([layers[layer] for layer in range(language_model.n_layers)])
