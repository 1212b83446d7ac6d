"""A model's feed-forward networks over long texts, some positions at a time: each of their outputs knows one position.

At once they hold the widest values of a pass. An allocator gives that much back to the system after each layer and has
it cleared anew in the next, which cost a fifth of a pass of a small model on a CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["in_pieces", "is_feed_forward"]

PIECE = 1024
"""Positions at a time: more gain nothing, and fewer make products that are too small."""


def is_feed_forward(module: nn.Module) -> bool:
    """Whether a module is a feed-forward network of transformers: projections with something between them.

    What somebody listens to is none: a hook would see another input.
    """
    kind = type(module)
    children = list(module.children())
    projections = [child for child in children if type(child).__name__ in ("Linear", "Conv1D")]
    rest = [child for child in children if child not in projections]
    return (
        kind.__module__.startswith("transformers.models.")
        and kind.__name__.endswith("MLP")
        and bool(projections)
        and not any(True for _ in module.parameters(recurse=False))
        and not any(True for child in rest for _ in child.parameters())
        and not (module._forward_hooks or module._forward_pre_hooks)
    )


@contextmanager
def in_pieces(model: nn.Module, is_ours: Callable[[], bool]) -> Iterator[None]:
    """Let a model's feed-forward networks take long texts in pieces, for the time of a `with`.

    Args:
        is_ours: whether the pass that asks is one that this is for; others go on as they are.
    """
    outputs: dict[nn.Module, Tensor] = {}

    def before(module: nn.Module, args: tuple[object, ...]) -> tuple[Tensor] | None:
        whole = args[0] if len(args) == 1 else None
        if not isinstance(whole, Tensor) or whole.dim() != 3 or whole.shape[1] <= PIECE or not is_ours():
            return None
        outputs[module] = torch.cat([module.forward(piece) for piece in whole.split(PIECE, dim=1)], dim=1)
        return (whole[:, :0],)  # nothing is left to do

    def after(module: nn.Module, args: tuple[object, ...], output: Tensor) -> Tensor:
        return outputs.pop(module, output)

    handles = []
    for module in model.modules():
        if is_feed_forward(module):
            handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
