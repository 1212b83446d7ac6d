"""Checks of every run: the model is supported, a score is a number, and the last query saw what the map says."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.errors import ImpossibleResultError, InputError, kind_of
from keepmap.kv.eviction.attention import evicting_attention, probabilities, visible
from keepmap.kv.method import LayerInput, Scored
from keepmap.kv.passes import LayerCall, check_forward
from keepmap.language_model import LanguageModel

__all__ = ["check_supported", "full_attention", "last_query_felt", "nan_score", "require_scores", "scores_of"]


def full_attention(call: LayerCall) -> Tensor:
    """One layer's attention without eviction."""
    heads, n = call.keys.shape[:2]
    return evicting_attention(
        call.queries,
        call.keys,
        call.values,
        torch.full((heads, n), n, device=call.keys.device),
        call.sees_from,
        scaling=call.scaling,
        softcap=call.softcap,
        sinks=call.sinks,
    )


def nan_score(method: str, layer: int) -> ImpossibleResultError:
    """What is raised where a method's score is NaN."""
    return ImpossibleResultError(
        f"a score of the method {method} is NaN in layer {layer}: its `score`, the model's weights or the inputs are "
        "damaged"
    )


def scores_of(method: Scored, layer: LayerInput) -> Float[Tensor, "G N"]:
    """What a method scores in a layer; a method may be the user's own, and is told what was wrong with it.

    Raises:
        InputError: something else than one number for each KV head and position.
        ImpossibleResultError: a NaN score.
    """
    scores = require_scores(method.name, method.score(layer), tuple(layer.keys.shape[:2]), "position")
    if torch.isnan(scores).any():
        raise nan_score(method.name, layer.layer)
    return scores


def require_scores(method: str, scores: object, shape: tuple[int, ...], of: str) -> Tensor:
    """What a method gave as its scores, which are to be one number for each KV head and `of`.

    Raises:
        InputError: it is something else.
    """
    if isinstance(scores, Tensor) and tuple(scores.shape) == shape and scores.is_floating_point():
        return scores
    kind = f"{scores.dtype} of {tuple(scores.shape)}" if isinstance(scores, Tensor) else kind_of(scores)
    raise InputError(
        f"expected the score of method {method} to be a float tensor of one number for each KV head and {of}, "
        f"{shape}, got {kind}"
    )


def check_supported(language_model: LanguageModel) -> None:
    """Compare the model's own logits with ours on a few tokens, once per model.

    Raises:
        ModelError: they differ, a layer is missing or has other heads, or the model's output is NaN.
    """
    check_forward(language_model, full_attention)


def last_query_felt(call: LayerCall, expires: Int[Tensor, "G N"], output: Float[Tensor, "H N Dv"]) -> bool:
    """Attend with the last query anew, in the obvious way; whether what it does not see would have made a difference.

    Raises:
        ImpossibleResultError: `output` is not the attention over what `expires` says the query sees.
    """
    heads, n = expires.shape
    wide = torch.promote_types(call.keys.dtype, torch.float32)
    queries = call.queries[:, -1].to(wide).view(heads, -1, call.queries.shape[2])
    logits = call.scaling * queries @ call.keys.to(wide).transpose(1, 2)
    if call.softcap is not None:
        logits = call.softcap * torch.tanh(logits / call.softcap)
    position = torch.arange(n, device=expires.device).expand(heads, 1, n)
    last = position[0, :, -1:]
    sinks = None if call.sinks is None else call.sinks.to(wide).view(heads, -1, 1, 1)
    values = call.values.to(wide)

    def attend(until: Tensor) -> Tensor:
        seen = visible(position, until[:, None], last, call.sees_from[-1:, None])
        weights = probabilities(logits.masked_fill(~seen, float("-inf"))[:, :, None], sinks)
        return weights[:, :, 0] @ values

    evicted, full = attend(expires), attend(torch.full_like(expires, n))
    output_last = output[:, -1].to(wide).view_as(evicted)
    # Rounding of a product moves a weight by that much of itself, and sums are rounded once more.
    digits = torch.finfo(call.keys.dtype).eps
    allowed = digits * (64 + 4 * float(logits.abs().max())) * max(float(values.abs().max()), torch.finfo(wide).tiny)
    if not bool(((output_last - evicted).abs() <= allowed).all()):
        raise ImpossibleResultError(
            f"layer {call.layer}: the last query's attention is not that over what the map says it sees; "
            "please report this, with the model and the method"
        )
    return bool(((full - evicted).abs() > allowed).any())
