"""Run a model with its attention in our hands: the one place that reaches into a forward pass.

One thread at a time has a model in its hands; others wait. A forward pass of somebody else's on the same model, in
another thread, goes on with the model's own attention.

H query head · G KV head · N positions · D head dimension.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from keepmap.attention.passes.masks import sees_from
from keepmap.attention.passes.pieces import in_pieces
from keepmap.errors import ModelError

__all__ = [
    "Attend",
    "LayerCall",
    "Run",
    "Text",
    "active",
    "alone_with",
    "implementation",
    "in_eval_mode",
    "inputs_noted",
    "queries_unturned",
    "run",
    "run_texts",
]

NAME = "keepmap"
PRIVATE = "_attn_implementation_internal"


@dataclass(frozen=True, kw_only=True)
class LayerCall:
    """One layer's attention as the model is about to compute it, for one text.

    Attributes:
        layer: the layer's index. module: the attention module.
        hidden_states: [N, hidden], the module's input.
        queries: [H, N, D], keys: [G, N, D], values: [G, N, Dv]; head h reads KV head h // (H // G).
        sees_from: [N], the first position that each query may see by the model's own rule (a sliding window); the last
            one is the query itself.
        scaling: the factor on query-key products.
        softcap: products are capped to softcap * tanh(product / softcap), None for no cap.
        sinks: [H], learned logits that take part in the softmax without a value (gpt-oss), or None.
        rotary: (cosines, sines) [N, R] as the layer was given them, or None.
    """

    layer: int
    module: nn.Module
    hidden_states: Float[Tensor, "N hidden"]
    queries: Float[Tensor, "H N D"]
    keys: Float[Tensor, "G N D"]
    values: Float[Tensor, "G N Dv"]
    sees_from: Int[Tensor, " N"]
    scaling: float
    softcap: float | None
    sinks: Float[Tensor, " H"] | None
    rotary: tuple[Tensor, Tensor] | None


Attend = Callable[[LayerCall], Float[Tensor, "H N Dv"]]
"""What a layer's attention is replaced by."""


@dataclass(frozen=True)
class Text:
    """One text of a pass over a batch.

    Attributes:
        attend: what replaces its attention; it knows nothing of padding and of other texts.
        padding: how many positions of padding there are at its left in all. hidden: how many of those that come are.
    """

    attend: Attend
    padding: int = 0
    hidden: int = 0


@dataclass
class Run:
    """What replaces the attention of each text in one pass, and what was noted of each module: its input and rotary."""

    texts: Sequence[Text]
    inputs: dict[nn.Module, tuple[Tensor, tuple[Tensor, Tensor] | None]]
    calls: int = 0


_own: dict[int, str | None] = {}
"""The id of a config -> the attention that it names by itself, while it names ours."""
_holders: Counter[int] = Counter()
"""The id of a config -> how many passes and blocks it names ours for; the last one gives it its own back."""
_locks: "WeakKeyDictionary[nn.Module, RLock]" = WeakKeyDictionary()
_locks_lock = Lock()
active: ContextVar[Run | None] = ContextVar("keepmap_run", default=None)


def run(
    model: nn.Module, body: nn.Module, input_ids: Int[Tensor, " N"], attend: Attend, cache: object = None
) -> Float[Tensor, "N hidden"]:
    """The last hidden states of one text, with `attend` in place of every layer's attention; as `run_texts`."""
    return run_texts(model, body, input_ids[None], [Text(attend)], cache)[0]


def run_texts(
    model: nn.Module, body: nn.Module, input_ids: Int[Tensor, "B N"], texts: Sequence[Text], cache: object = None
) -> Float[Tensor, "B N hidden"]:
    """The last hidden states of several texts, each with an attention of its own in place of every layer's.

    `body` is the part of `model` without the head. With a `cache` of transformers the texts go on with what they have
    seen. Whatever happens, the model is left as it was found.

    Raises:
        ModelError: an attention of the model does not go through transformers' AttentionInterface.
    """
    state = Run(texts, {})
    hooks = inputs_noted(model), in_pieces(model, lambda: active.get() is state)
    with torch.no_grad(), in_eval_mode(model), implementation(model), hooks[0], hooks[1]:
        token = active.set(state)
        try:
            output = body(input_ids=input_ids, past_key_values=cache, use_cache=cache is not None)
        finally:
            active.reset(token)
    if not state.calls:
        raise ModelError(
            f"{type(model).__name__} is not supported: its attention bypasses transformers.AttentionInterface"
        )
    hidden_states: Tensor = output.last_hidden_state
    return hidden_states


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **ignored: object,
) -> tuple[Tensor, None]:
    """The function that transformers calls in each layer; [B, H, N, D] in, [B, N, H, Dv] out."""
    state = active.get()
    name = type(module).__name__
    assert state is not None
    if module not in state.inputs:
        raise ModelError(f"{name} is not supported: its input could not be read")
    if attention_mask is None or attention_mask.dtype != torch.int64:
        raise ModelError(f"{name} is not supported: it builds its attention mask by itself")
    layer = getattr(module, "layer_idx", None)
    if query.shape[0] != len(state.texts):
        texts, came = len(state.texts), query.shape[0]
        raise ModelError(
            f"{name} is not supported: the texts it was given are {texts}, and it attends to {came} at once"
        )
    if not isinstance(layer, int) or query.shape[2] != key.shape[2]:
        raise ModelError(f"{name} is not supported: it is not causal self-attention over the texts it was given")
    if query.shape[1] % key.shape[1] or query.shape[3] != key.shape[3]:
        raise ModelError(f"{name} is not supported: its query and KV heads do not pair up")
    hidden_states, rotary = state.inputs.pop(module)
    state.calls += 1
    outputs = []
    for row, text in enumerate(state.texts):
        hidden, sees_from = text.hidden, attention_mask.flatten()
        if hidden == query.shape[2]:
            outputs.append(value.new_zeros(query.shape[2], query.shape[1], value.shape[3]))
            continue
        call = LayerCall(
            layer=layer,
            module=module,
            hidden_states=_of_row(hidden_states, row, hidden),
            queries=_of_row(query, row, hidden),
            keys=_of_row(key, row, hidden),
            values=_of_row(value, row, hidden),
            sees_from=(sees_from[hidden:] - text.padding).clamp(min=0) if text.padding else sees_from,
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            softcap=softcap,
            sinks=s_aux,
            rotary=None if rotary is None else (_of_row(rotary[0], row, hidden), _of_row(rotary[1], row, hidden)),
        )
        output = text.attend(call).transpose(0, 1)
        outputs.append(nn.functional.pad(output, (0, 0, 0, 0, hidden, 0)) if hidden else output)
    return outputs[0][None] if len(outputs) == 1 else torch.stack(outputs), None


def _of_row(batch: Tensor, row: int, hidden: int) -> Tensor:
    """One text's part of [B, ..., N, D], or of what is the same for all texts; the first positions are padding."""
    part = batch[row if batch.shape[0] > 1 else 0]
    return part[..., hidden:, :] if hidden else part


@contextmanager
def alone_with(model: nn.Module) -> Iterator[None]:
    """One thread at a time works with a model; others wait until it is left as it was found."""
    with _locks_lock:
        lock = _locks.setdefault(model, RLock())
    with lock:
        yield


@contextmanager
def implementation(model: nn.Module) -> Iterator[None]:
    """Every config of the model names our attention; restored at the end. Nothing is patched."""
    from transformers import AttentionInterface, AttentionMaskInterface

    attention, mask = _uncompiled()
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask)
    configs = {id(module.config): module.config for module in model.modules() if hasattr(module, "config")}
    with _locks_lock:
        for key, config in configs.items():
            # Said before it is so: other threads may ask from then on.
            _own.setdefault(key, _named_attention(config))
            _holders[key] += 1
            _name_attention(config, NAME)
    try:
        yield
    finally:
        with _locks_lock:
            for key, config in configs.items():
                _holders[key] -= 1
                if not _holders[key]:
                    _name_attention(config, _own[key])
                    del _own[key], _holders[key]


@cache
def _uncompiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Our attention and our mask, at which `torch.compile` of a model stops: it would follow them for minutes."""
    return torch.compiler.disable(_ours_or_its_own), torch.compiler.disable(_our_mask_or_its_own)


def _ours_or_its_own(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """What transformers calls in each layer: ours in the thread that runs it, in others the one the model came with."""
    if active.get() is not None:
        kind = args[0].device.type
        if not torch.is_autocast_enabled(kind):
            return _attention(module, *args, **kwargs)
        # The model's own attention takes all three in this format; ours computes in it and casts nothing on the way.
        states = (each.to(torch.get_autocast_dtype(kind)) for each in args[:3])
        with torch.autocast(kind, enabled=False):
            return _attention(module, *states, *args[3:], **kwargs)
    from transformers import AttentionInterface

    name = _own_attention(getattr(module, "config", None))
    # Each model's own file holds the plain one.
    plain = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    attention = plain if name in (None, "eager") else AttentionInterface()[name]
    if attention is None:
        raise ModelError(
            f"{type(module).__name__} cannot run while another thread has it in keepmap's hands; run them in turn"
        )
    return attention(module, *args, **kwargs)


def _our_mask_or_its_own(*args: Any, **kwargs: Any) -> Any:
    """The same of the mask."""
    config = kwargs.get("config")
    if active.get() is not None or config is None:
        return sees_from(*args, **kwargs)
    from transformers import AttentionMaskInterface

    return AttentionMaskInterface()[_own_attention(config) or "eager"](*args, **kwargs)


def _own_attention(config: object) -> str | None:
    """The attention that a config named when it came."""
    name = _own.get(id(config), _named_attention(config))
    if name == NAME:
        raise ModelError(
            "this model is a copy that was made inside a `with keepmap.evicting(...)`; copy it before or after"
        )
    return name


def _named_attention(config: object) -> str | None:
    """The attention that a config names now, for its own modules."""
    name: str | None = getattr(config, PRIVATE, None)
    return name


def _name_attention(config: object, implementation: str | None) -> None:
    """Let a config name another attention for its own modules alone.

    The one tie to a private name of transformers (tried with 5.2, 5.23 and 5.24): the public setter would pass
    the change on to sub-configs and lose what they had. A config without it, of a part that is no model of
    transformers, stays as it is.
    """
    if hasattr(config, PRIVATE):
        setattr(config, PRIVATE, implementation)


@contextmanager
def inputs_noted(model: nn.Module) -> Iterator[None]:
    """Hooks that note each attention module's input for the thread's own pass; gone at the end."""

    def note(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        state = active.get()
        if state is None:
            return  # a pass of somebody else's
        hidden_states = args[0] if args else kwargs.get("hidden_states")
        rotary = kwargs.get("position_embeddings")
        if isinstance(hidden_states, Tensor):
            pair = (rotary[0], rotary[1]) if isinstance(rotary, tuple) else None
            state.inputs[module] = (hidden_states, pair)

    handles = [
        module.register_forward_pre_hook(torch.compiler.disable(note), with_kwargs=True)
        for module in model.modules()
        if "Attention" in type(module).__name__ and hasattr(module, "layer_idx")
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """No dropout, and no other thread that changes that; each module's own flag comes back."""
    with alone_with(model):
        training = [module for module in model.modules() if module.training]
        model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True


def queries_unturned(call: LayerCall, n: int) -> Float[Tensor, "H n D"]:
    """The first `n` queries of a layer as they are before any rotation: its module run again with angles of 0."""
    assert call.rotary is not None
    seen: list[Tensor] = []

    def keep(inner: LayerCall) -> Tensor:
        seen.append(inner.queries)
        return inner.values.new_zeros(*inner.queries.shape[:2], inner.values.shape[2])

    cosines, sines = (part[None, :n] for part in call.rotary)
    hidden_states = call.hidden_states[None, :n]
    state = Run([Text(keep)], {call.module: (hidden_states, None)})
    token = active.set(state)
    try:
        call.module(
            hidden_states=hidden_states,
            position_embeddings=(torch.ones_like(cosines), torch.zeros_like(sines)),
            attention_mask=torch.zeros(1, 1, n, 1, dtype=torch.int64, device=cosines.device),
        )
    finally:
        active.reset(token)
    return seen[0]
