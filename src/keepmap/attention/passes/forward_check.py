"""Is a model's forward pass, with its attention in our hands, still its own? Asked once per model, before a result."""

import weakref

import torch
from torch import Tensor, nn

from keepmap.attention.passes.calls import left_alone
from keepmap.attention.passes.forward import Attend, LayerCall, in_eval_mode, run
from keepmap.errors import ModelError
from keepmap.language_model import LanguageModel

__all__ = ["check_forward"]

_checked: "weakref.WeakKeyDictionary[nn.Module, set[Attend]]" = weakref.WeakKeyDictionary()
_LENGTH = 40
# Of the logits' spread, on average: rounding passes, a wrong scale or mask does not.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 0.05, torch.bfloat16: 0.1}


def check_forward(language_model: LanguageModel, attend: Attend) -> None:
    """Compare the model's own logits on a few tokens with those under `attend`, which is to change nothing.

    Raises:
        ModelError: they differ, a layer is missing or has other heads, or the model's output is NaN.
    """
    model = language_model.model
    if attend in _checked.get(model, set()):
        return
    name = type(model).__name__
    length = min(_LENGTH, language_model.max_positions or _LENGTH)
    input_ids = (torch.arange(length, device=language_model.device) * 7919 + 13) % language_model.vocab_size
    with torch.no_grad(), in_eval_mode(model), left_alone():
        own = model(input_ids=input_ids[None], use_cache=False).logits[0]
    if not bool(torch.isfinite(own).all()):
        raise ModelError(
            f'model "{language_model.name}" gives logits that are NaN or infinite: its weights are damaged'
        )
    layers: list[int] = []
    heads: set[int] = set()

    def note_and_attend(call: LayerCall) -> Tensor:
        layers.append(call.layer)
        heads.add(call.keys.shape[0])
        return attend(call)

    logits = language_model.head(run(model, language_model.body, input_ids, note_and_attend))
    if sorted(layers) != list(range(language_model.n_layers)):
        raise ModelError(
            f"{name} is not supported: keepmap reaches the attention of {len(layers)} of its {language_model.n_layers} "
            "layers"
        )
    if heads != {language_model.n_kv_heads}:
        raise ModelError(
            f"{name} is not supported: its config says {language_model.n_kv_heads} KV heads per layer, its layers have "
            f"{' and '.join(map(str, sorted(heads)))}"
        )
    difference = float((logits - own).double().abs().mean())
    spread = float(own.double().std())
    if difference > _TOLERANCE[own.dtype] * spread:
        raise ModelError(
            f"{name} is not supported: without eviction its logits are off by {difference / spread:.1%} of their spread"
        )
    _checked.setdefault(model, set()).add(attend)
