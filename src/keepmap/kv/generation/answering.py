"""One call of `generate`: how the next token is chosen, each of them as it comes, and when it came."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers.generation.streamers import BaseStreamer, TextStreamer

from keepmap.core.arguments import as_integer, as_number
from keepmap.core.progress import Progress
from keepmap.errors import InputError
from keepmap.kv.generation.generation import Answered

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Sampling", "answer", "as_sampling"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the likeliest one, or drawn at a temperature.

    Attributes:
        temperature: None for the likeliest. top_p: only the likeliest that together have this share are drawn from.
        seed: of the draws.
    """

    temperature: float | None
    top_p: float | None
    seed: int

    def options(self) -> dict[str, Any]:
        """For `generate`: what a model's own generation config says instead does not count."""
        is_drawn = self.temperature is not None
        return {
            "do_sample": is_drawn,
            "temperature": self.temperature if is_drawn else 1.0,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "top_k": 0 if is_drawn else 50,  # 50 is transformers' default, which it takes for not given
            "num_beams": 1,
            "num_return_sequences": 1,
        }


def as_sampling(temperature: float | None, top_p: float | None, seed: int) -> Sampling:
    """These options, checked.

    Raises:
        InputError: one out of range, or `top_p` where nothing is drawn.
    """
    if temperature is not None and not 0.0 < as_number("temperature", temperature) < float("inf"):
        raise InputError(
            f"expected `temperature` to be above 0, got {temperature}; leave it out for the likeliest tokens"
        )
    if top_p is not None and as_number("top_p", top_p, 0.0, 1.0) == 0.0:
        raise InputError("expected `top_p` to be above 0, got 0")
    if top_p is not None and temperature is None:
        raise InputError("expected `top_p` to be given with a `temperature`, got none; give temperature=1.0 too")
    return Sampling(temperature, top_p, as_integer("seed", seed))


def answer(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase | None",
    ids: Int[Tensor, " N"],
    max_new_tokens: int,
    sampling: Sampling,
    cache: "Cache | None" = None,
    hear: Callable[[str], object] | None = None,
    progress: Progress | None = None,
) -> Answered:
    """Let the model go on from a text, by its own `generate`.

    Args:
        cache: what has seen some of the text, None for the model's own.
        hear: called with each piece of the answer as it comes. progress: called with 1 once all of the text is read.
    """
    clock = _Clock(tokenizer, hear, progress)
    end = model.generation_config.eos_token_id
    end = tokenizer.eos_token_id if end is None and tokenizer is not None else end
    with torch.random.fork_rng(devices=[ids.device] if ids.device.type == "cuda" else []):
        torch.manual_seed(sampling.seed)
        output = model.generate(
            ids[None],
            attention_mask=torch.ones_like(ids)[None],
            past_key_values=cache,
            max_new_tokens=max_new_tokens,
            eos_token_id=end,
            pad_token_id=0,  # one text is never padded; without it there would be a warning
            streamer=clock,
            **sampling.options(),
        )
    tokens = tuple(output[0, len(ids) :].tolist())
    text = "" if tokenizer is None else tokenizer.decode(tokens, skip_special_tokens=True)
    return Answered(tokens=tokens, text=text, reading=clock.begin, decoding=clock.seconds)


class _Clock(BaseStreamer):
    """What `generate` gives its tokens to: notes when they came, and passes on the text that is whole."""

    def __init__(self, tokenizer: Any, hear: Callable[[str], object] | None, progress: Progress | None) -> None:
        self._text = None if tokenizer is None or hear is None else _Pieces(tokenizer, hear)
        self._progress = progress
        self._times = [time.perf_counter()]

    @property
    def begin(self) -> float:
        """Seconds until the first token."""
        return self._times[min(2, len(self._times) - 1)] - self._times[0]

    @property
    def seconds(self) -> float:
        """From the first token to the last."""
        return self._times[-1] - self._times[min(2, len(self._times) - 1)]

    def put(self, value: Tensor) -> None:
        """The prompt first, then a token at a time."""
        self._times.append(time.perf_counter())
        if self._progress is not None and len(self._times) == 3:
            self._progress(1.0)
        if self._text is not None:
            self._text.put(value)

    def end(self) -> None:
        """There is no more."""
        if self._text is not None:
            self._text.end()


class _Pieces(TextStreamer):
    """Pieces of text, each as soon as it is whole."""

    def __init__(self, tokenizer: Any, hear: Callable[[str], object]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._hear = hear

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Pass it on."""
        if text:
            self._hear(text)
