"""What a method is tried on: texts for a small model, and inputs of a layer that are made up.

H query head · G KV head · N positions · K entries that are held · D head dimension.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.eviction import Eviction
from keepmap.kv.method import HeldInput, LayerInput, Method, Moments, Received, Reviewed, Rotation, Scored
from keepmap.language_model import LanguageModel, load_language_model

__all__ = ["CHANGED_FROM", "LanguageModel", "Largest", "N", "run", "scored", "small_model", "text"]

N, CHANGED_FROM = 64, 44
_HEADS, _GROUP, _DIM, _HIDDEN = 4, 2, 64, 256
"""Sizes of the embedded model, whose surrogate takes them; but a KV head has two query heads."""


def small_model() -> LanguageModel:
    """The embedded model, on the CPU in float32."""
    return load_language_model("tiny", device="cpu", dtype="float32")


def text(language_model: LanguageModel, seed: int, n: int = N) -> Tensor:
    """Token ids, drawn; the first `CHANGED_FROM` are those of every seed."""
    parts = [(CHANGED_FROM, 1), (n - CHANGED_FROM, seed)]
    draws = [
        torch.randint(3, language_model.vocab_size, (count,), generator=torch.Generator().manual_seed(each))
        for count, each in parts
    ]
    return torch.cat(draws)


def run(language_model: LanguageModel, method: Method, ids: Tensor, **options: float | str) -> Eviction:
    """One text under the method, with a protection that leaves most of it to be decided."""
    rule = {} if {"density", "threshold", "budget"} & options.keys() else {"density": 0.3}
    return evict(language_model, ids, method, n_sink=2, window=8, **rule, **options)  # type: ignore[arg-type]


def scored(method: Method, size: int, dtype: torch.dtype, fill: float | None = None) -> tuple[Tensor, bool]:
    """The scores of made-up input of `size` positions, and whether the method left that as it was.

    Args:
        fill: every number of it; drawn where it is None.
    """
    given, score = _made_up(method, size, dtype, fill)
    before = [part.clone() for part in given]
    scores = score()
    return scores, all(torch.equal(part, was) for part, was in zip(given, before, strict=True))


def _made_up(
    method: Method, size: int, dtype: torch.dtype, fill: float | None
) -> tuple[list[Tensor], Callable[[], Tensor]]:
    """The tensors of an input, and what scores it."""
    generator = torch.Generator().manual_seed(size)

    def tensor(*shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=generator) if fill is None else torch.full(shape, fill)
        return drawn.to(dtype)

    keys, values = tensor(_HEADS, size, _DIM), tensor(_HEADS, size, _DIM)
    rotation = Rotation(0.7 ** torch.arange(_DIM // 2), 1.0, False) if method.needs_rotation else None
    if isinstance(method, Received):
        total = tensor(_HEADS, size).double().abs()
        return [total], lambda: method.score(total, torch.arange(size, 0, -1)[None].expand(_HEADS, -1))
    if isinstance(method, Reviewed):
        observed = min(size, method.observes)
        queries = tensor(_HEADS * _GROUP, observed, _DIM)
        held = HeldInput(
            layer=0,
            step=size - 1,
            positions=torch.arange(size).expand(_HEADS, -1),
            keys=keys,
            values=values,
            queries=queries,
            sees_from=torch.zeros(observed, dtype=torch.int64),
            scaling=_DIM**-0.5,
            rotation=rotation,
            n_sink=2,
            moments=_moments(queries) if method.needs_moments else None,
            capacity=torch.full((_HEADS,), size // 2) if method.needs_capacity else None,
            norms=values.float().abs().sum(dim=-1) if method.needs_norms else None,
            ahead=values.float().square().sum(dim=-1) if method.needs == "future" else None,
        )
        return [keys, values, queries], lambda: method.score(held)
    assert isinstance(method, Scored)
    queries, hidden = tensor(_HEADS * _GROUP, size, _DIM), tensor(size, _HIDDEN)
    layer = LayerInput(
        layer=0,
        hidden_states=hidden,
        queries=queries,
        keys=keys,
        values=values,
        rotation=rotation,
        decided_at=(torch.arange(size) + 9).clamp(max=size),
        scaling=_DIM**-0.5,
        n_sink=2,
        seed=0,
        repeated=values.float().square().sum(dim=-1) if method.needs_repetition else None,
    )
    return [keys, values, queries, hidden], lambda: method.score(layer)


def _moments(queries: Tensor) -> Moments:
    """Of some queries, which may be none."""
    heads, count, dim = queries.shape
    drawn = torch.randn(heads, max(count, 9), dim, generator=torch.Generator().manual_seed(1)).double()
    mean = drawn.mean(dim=1)
    return Moments(mean, drawn.transpose(1, 2) @ drawn / drawn.shape[1] - mean[..., :, None] * mean[..., None, :])


class Largest(TorchDispatchMode):
    """Inside, notes how many numbers the largest tensor has that any operation gives.

    Attributes:
        numbers: so many.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Run the operation, and look at what it gives."""
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor):
                self.numbers = max(self.numbers, part.numel())
        return result
