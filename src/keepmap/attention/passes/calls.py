"""Calls of a model that somebody else makes, with its attention in our hands: a block, and a question at each call."""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Condition, Lock, Thread, current_thread
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from keepmap.attention.passes.forward import Run, Text, active, implementation, inputs_noted
from keepmap.errors import InputError, ModelError

__all__ = ["Prepare", "calls_in_hands", "left_alone"]

Prepare = Callable[[dict[str, Any]], Sequence[Text] | None]
"""Given the arguments of a call by their names, which it may change: its texts, each with what replaces its attention;
None where nothing is replaced."""

_open: "WeakSet[nn.Module]" = WeakSet()
_open_lock = Lock()
_LOOK_AGAIN = 0.2
"""Seconds."""
_is_left_alone: ContextVar[bool] = ContextVar("keepmap_left_alone", default=False)


@contextmanager
def calls_in_hands(model: nn.Module, prepare: Prepare) -> Iterator[None]:
    """Inside, `prepare` is asked at every call of `model`, in whatever thread; at the end the model is as it was.

    A call that another thread is in the middle of comes to its end first.

    Raises:
        InputError: the model is in such a block already.
        ModelError: at a call, its attention was set to another one inside.
    """
    with _open_lock:
        if model in _open:
            raise InputError(
                "this model is inside a `with keepmap.evicting(...)` already, of this thread or of another; close that "
                "one first"
            )
        _open.add(model)
    parameters = inspect.signature(model.forward).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]

    calling, is_over = _Calling(), False

    def before(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        active.set(None)  # an interrupt may have left the last one
        named = dict(zip(names, args, strict=False)) | kwargs
        with calling.changed:
            is_ours = not (is_over or _is_left_alone.get())
            if is_ours:
                calling.threads.add(current_thread())
        texts = prepare(named) if is_ours else None
        active.set(None if texts is None else Run(texts, {}))
        return args[len(names) :], named

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        state = active.get()
        active.set(None)
        calling.end(current_thread())
        if state is not None and output is not None and not state.calls:  # without an output it was broken off
            raise ModelError(
                f"{type(module).__name__} ran with another attention than keepmap's, so that nothing was evicted: set "
                "its attention before the block, not in it"
            )
        cache = kwargs.get("past_key_values")
        if state is None or cache is None or kwargs.get("use_cache") is not False:
            return output
        # Who asked for no cache gets none back: `generate` would go on with it.
        if isinstance(output, tuple):
            return tuple(part for part in output if part is not cache)
        return type(output)(**{name: part for name, part in output.items() if part is not cache})

    outside = active.get()
    try:
        with implementation(model), inputs_noted(model):
            handles = (
                model.register_forward_pre_hook(torch.compiler.disable(before), with_kwargs=True),
                model.register_forward_hook(torch.compiler.disable(after), with_kwargs=True, always_call=True),
            )
            try:
                yield
            finally:
                try:
                    with calling.changed:
                        is_over = True  # what comes now is the model's own
                    calling.await_others()
                finally:  # whoever is tired of waiting gets the model as it was, too
                    for handle in handles:
                        handle.remove()
    finally:
        active.set(outside)
        with _open_lock:
            _open.discard(model)


class _Calling:
    """The threads that are in the middle of a call."""

    def __init__(self) -> None:
        self.threads: set[Thread] = set()
        self.changed = Condition()

    def end(self, thread: Thread) -> None:
        """It has come to its end."""
        with self.changed:
            self.threads.discard(thread)
            self.changed.notify_all()

    def await_others(self) -> None:
        """Until no other thread is in a call; one that left it by an interrupt is in none."""
        with self.changed:
            self.threads.discard(current_thread())
            while any(map(_is_in_a_module, self.threads)):
                self.changed.wait(_LOOK_AGAIN)


def _is_in_a_module(thread: Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code is nn.Module._call_impl.__code__:
            return True
        frame = frame.f_back
    return False


@contextmanager
def left_alone() -> Iterator[None]:
    """Inside, this thread's calls are the model's own, also where it is in a block."""
    token = _is_left_alone.set(True)
    try:
        yield
    finally:
        _is_left_alone.reset(token)
