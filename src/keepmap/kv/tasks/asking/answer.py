"""Asking about a context under eviction: it is read once, and a fork of its cache answers each question."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.errors import ImpossibleResultError
from keepmap.kv.tasks.asking.prompts import Asked, Prompt
from keepmap.kv.tasks.asking.retention import Retention, retention_of
from keepmap.language_model import LanguageModel

if TYPE_CHECKING:
    from keepmap.kv.cache.cache import EvictingCache  # loads transformers, which pictures of answers do without

__all__ = ["ROOM", "Answer", "Memory", "answers_of"]

ROOM = 8
"""New tokens that an answer may have beyond those of the right one, unless more are wanted."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the cache holds when an answer begins.

    Attributes:
        held: cache entries, as a share of those of the full cache at that time.
        footprint: the mean of that share over all steps until then.
        nbytes, peak_nbytes, full_nbytes: held then, at most until then, and by the full cache.
    """

    held: float
    footprint: float
    nbytes: int
    peak_nbytes: int
    full_nbytes: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says to one question.

    Attributes:
        text: what it says, without special tokens; None where nothing was generated.
        n_new: how many tokens that are. is_finished: whether it ended by itself.
        nll: of the right answer, in nats per token, of its `n_target` tokens. is_greedy: whether each of these is the
            likeliest one, so that generating gives the right answer first.
        memory, retention: what is held when the answer begins; None without evidence.
    """

    text: str | None
    n_new: int
    is_finished: bool
    nll: float
    n_target: int
    is_greedy: bool
    memory: Memory
    retention: Retention | None


@torch.inference_mode()
def answers_of(fresh: "EvictingCache", prompt: Prompt, max_new_tokens: int | None, generates: bool) -> Iterator[Answer]:
    """The answer to each question of a prompt.

    Args:
        fresh: a cache of the model and the method that has seen nothing.
        max_new_tokens: of an answer; None for those of the right one and `ROOM` more.
        generates: whether the model is to say something, beside the likelihood of the right answer.

    Raises:
        ModelError: the memory ran out.
        ImpossibleResultError: a likelihood that is not finite.
    """
    cache = fresh.fork()
    cache.read(prompt.context)
    language_model = cache.language_model
    for query in prompt.queries:
        begun = cache.fork()
        logits = language_model.head(begun.go_on(query.ids)[-1:])
        keep_map, report = begun.keep_map(), begun.report()
        memory = Memory(
            held=keep_map.density(),
            footprint=keep_map.footprint(),
            nbytes=report.nbytes,
            peak_nbytes=report.peak_nbytes,
            full_nbytes=report.full_nbytes,
        )
        answer = replace(
            _forced(language_model, begun.fork(), logits, query, prompt.name),
            memory=memory,
            retention=retention_of(keep_map, query.evidence),
        )
        if generates:
            most = len(query.target) + ROOM if max_new_tokens is None else max_new_tokens
            tokens, is_finished = _greedy(begun, logits, most)
            assert language_model.tokenizer is not None
            text = language_model.tokenizer.decode(tokens, skip_special_tokens=True)
            answer = replace(answer, text=text, n_new=len(tokens), is_finished=is_finished)
        yield answer


def _forced(
    language_model: LanguageModel, cache: "EvictingCache", logits: Float[Tensor, "1 V"], query: Asked, name: str
) -> Answer:
    """The likelihood of the right answer, all of whose tokens the model is given."""
    target = query.target
    if len(target) > 1:
        logits = torch.cat([logits, language_model.head(cache.go_on(target[:-1]))])
    nll = float(torch.nn.functional.cross_entropy(logits.double(), target))
    if not 0 <= nll < float("inf"):
        raise ImpossibleResultError(f"the likelihood of the answer in {name} is not finite: {nll}")
    return Answer(
        text=None,
        n_new=0,
        is_finished=False,
        nll=nll,
        n_target=len(target),
        is_greedy=bool((logits.argmax(dim=1) == target).all()),
        memory=Memory(held=1.0, footprint=1.0, nbytes=0, peak_nbytes=0, full_nbytes=0),
        retention=None,
    )


def _greedy(cache: "EvictingCache", logits: Float[Tensor, "1 V"], most: int) -> tuple[list[int], bool]:
    """The likeliest tokens, each given back to the model, and whether the last one is an end, which is left out."""
    ends = _ends(cache.language_model)
    tokens: list[int] = []
    while True:
        token = int(logits[-1].argmax())
        if token in ends:
            return tokens, True
        tokens.append(token)
        if len(tokens) == most:
            return tokens, False
        logits = cache.language_model.head(cache.go_on(torch.tensor([token], device=logits.device)))


def _ends(language_model: LanguageModel) -> set[int]:
    config = getattr(language_model.model, "generation_config", None)
    end = getattr(config, "eos_token_id", None)
    end = getattr(language_model.tokenizer, "eos_token_id", None) if end is None else end
    return set() if end is None else set(end) if isinstance(end, list | tuple) else {int(end)}
