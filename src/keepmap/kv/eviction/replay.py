"""Run a model under any expiries, whoever decided them.

L layer · G KV head · N positions.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.errors import InputError
from keepmap.kv.eviction.attention import evicting_attention
from keepmap.kv.eviction.checks import check_supported, last_query_felt
from keepmap.kv.passes import LayerCall, as_tokens, run
from keepmap.language_model import LanguageModel

__all__ = ["hidden_states_under"]


def hidden_states_under(
    language_model: LanguageModel, input_ids: Int[Tensor, "*batch N"], expires: Int[Tensor, "layers heads positions"]
) -> Float[Tensor, "N hidden"]:
    """The last hidden states of one text when query i sees position j of (layer, KV head) iff j <= i < expires.

    With the expiries of a KeepMap that `evict` made of the same text, what `evict` computed.

    Args:
        input_ids: the tokens of one text, [N] or [1, N].
        expires: the first query that no longer sees each position, in j+1..N.

    Raises:
        InputError: no text or one that is too long; expiries of another shape, or out of range.
        ModelError: the model is not supported.
        ImpossibleResultError: an attention that is not over what `expires` says.
    """
    tokens = as_tokens(language_model, input_ids)
    n = tokens.shape[0]
    shape = (language_model.n_layers, language_model.n_kv_heads, n)
    if expires.shape != shape:
        raise InputError(
            f"expected `expires` to be of the shape {shape} (layers, KV heads, tokens), got {tuple(expires.shape)}"
        )
    if not bool(((expires.cpu() > torch.arange(n)) & (expires.cpu() <= n)).all()):
        raise InputError(
            f"expected `expires` to be in j+1..{n} (a query sees itself, and {n} is never), got one outside"
        )
    check_supported(language_model)

    def attend(call: LayerCall) -> Tensor:
        own = expires[call.layer].to(call.keys.device)
        output = evicting_attention(
            call.queries,
            call.keys,
            call.values,
            own,
            call.sees_from,
            scaling=call.scaling,
            softcap=call.softcap,
            sinks=call.sinks,
        )
        last_query_felt(call, own, output)
        return output

    return run(language_model.model, language_model.body, tokens, attend)
