"""Asking about a context under eviction: it is read once, and forks of its caches answer each question, side by side.

B caches · A tokens of the right answer · V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError
from keepmap.kv.tasks.asking.mass import EvidenceMass
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
def answers_of(
    fresh: "Sequence[EvictingCache]", prompt: Prompt, max_new_tokens: int | None, generates: bool
) -> "Iterator[tuple[Answer, ...]]":
    """The answers to each question of a prompt, one of each cache; what they have in common is computed once.

    Args:
        fresh: caches of one model that have seen nothing, each of a method at a density.
        max_new_tokens: of an answer; None for those of the right one and `ROOM` more.
        generates: whether the model is to say something, beside the likelihood of the right answer.

    Raises:
        ModelError: the memory ran out.
        ImpossibleResultError: a likelihood that is not finite.
    """
    from keepmap.kv.cache.batches.once import can_read_once, read_once  # loads transformers
    from keepmap.kv.cache.batches.together import go_on_together

    language_model = fresh[0].language_model
    caches = [cache.fork() for cache in fresh]
    if all(map(can_read_once, caches)):
        read_once(caches, prompt.context)
    else:
        for cache in caches:
            cache.read(prompt.context)
    for query in prompt.queries:
        begun = [cache.fork() for cache in caches]
        mass = EvidenceMass(begun, query.evidence)
        hidden = go_on_together(begun, query.ids.expand(len(begun), -1), mass)
        logits = language_model.head(hidden[:, -1])
        states = [
            (_memory(cache, keep_map := cache.keep_map()), retention_of(keep_map, query.evidence, own))
            for cache, own in zip(begun, mass.shares, strict=True)
        ]
        forced = _forced(begun, logits, query, prompt.name)
        if prompt.in_turns:
            caches = [own.cache.fork() for own in forced]
        replies: list[_Reply | None] = [None] * len(begun)
        if generates:
            most = len(query.target) + ROOM if max_new_tokens is None else max_new_tokens
            replies = list(_replies(begun, logits, forced, query.target.tolist(), most))
        yield tuple(
            _answer(language_model, query, own, *state, words)
            for own, state, words in zip(forced, states, replies, strict=True)
        )


@dataclass(frozen=True, eq=False)
class _Forced:
    """A cache that was given the right answer but for its last token, and the logits of that one, [1, V]."""

    nll: float
    is_greedy: bool
    cache: "EvictingCache"
    last: Float[Tensor, "1 V"]


@dataclass(frozen=True)
class _Reply:
    """What a model says: tokens, and whether it ended by itself."""

    tokens: list[int]
    is_finished: bool


def _memory(cache: "EvictingCache", keep_map: KeepMap) -> Memory:
    report = cache.report()
    return Memory(
        held=keep_map.density(),
        footprint=keep_map.footprint(),
        nbytes=report.nbytes,
        peak_nbytes=report.peak_nbytes,
        full_nbytes=report.full_nbytes,
    )


def _answer(
    language_model: LanguageModel,
    query: Asked,
    forced: _Forced,
    memory: Memory,
    retention: Retention | None,
    replies: _Reply | None,
) -> Answer:
    text = None
    if replies is not None:
        assert language_model.tokenizer is not None
        text = language_model.tokenizer.decode(replies.tokens, skip_special_tokens=True)
    return Answer(
        text=text,
        n_new=0 if replies is None else len(replies.tokens),
        is_finished=replies is not None and replies.is_finished,
        nll=forced.nll,
        n_target=len(query.target),
        is_greedy=forced.is_greedy,
        memory=memory,
        retention=retention,
    )


def _forced(begun: "Sequence[EvictingCache]", logits: Float[Tensor, "B V"], query: Asked, name: str) -> list[_Forced]:
    """The likelihood of the right answer, all of whose tokens the model is given: on forks of the caches."""
    from keepmap.kv.cache.batches.together import go_on_together

    language_model, target = begun[0].language_model, query.target
    caches = [cache.fork() for cache in begun]
    hidden = go_on_together(caches, target[:-1].expand(len(caches), -1)) if len(target) > 1 else None
    forced = []
    for row, cache in enumerate(caches):
        own = logits[row : row + 1]
        if hidden is not None:
            own = torch.cat([own, language_model.head(hidden[row])])
        nll = float(torch.nn.functional.cross_entropy(own.double(), target))
        if not 0 <= nll < float("inf"):
            raise ImpossibleResultError(f"the likelihood of the answer in {name} is not finite: {nll}")
        forced.append(_Forced(nll, bool((own.argmax(dim=1) == target).all()), cache, own[-1:].clone()))
    return forced


def _replies(
    begun: "Sequence[EvictingCache]",
    logits: Float[Tensor, "B V"],
    forced: Sequence[_Forced],
    target: list[int],
    most: int,
) -> list[_Reply]:
    """What the model says by each cache. Where the right answer is the likeliest, it has been given it already."""
    ends = _ends(begun[0].language_model)
    is_given = [own.is_greedy and len(target) <= most and ends.isdisjoint(target) for own in forced]
    given, others = ([row for row, is_one in enumerate(is_given) if is_one == which] for which in (True, False))
    replies: dict[int, _Reply] = {}
    if given:
        last = torch.cat([forced[row].last for row in given])
        after = _greedy([forced[row].cache for row in given], last, most - len(target) + 1, ends)
        replies |= {
            row: _Reply(target[:-1] + own.tokens, own.is_finished) for row, own in zip(given, after, strict=True)
        }
    if others:
        replies |= dict(zip(others, _greedy([begun[row] for row in others], logits[others], most, ends), strict=True))
    return [replies[row] for row in range(len(begun))]


def _greedy(caches: "Sequence[EvictingCache]", logits: Float[Tensor, "B V"], most: int, ends: set[int]) -> list[_Reply]:
    """The likeliest tokens, each given back to the model, until the last one is an end, which is left out."""
    from keepmap.kv.cache.batches.together import go_on_together

    tokens: list[list[int]] = [[] for _ in caches]
    is_finished = [False] * len(caches)
    going = list(range(len(caches)))
    while True:
        for row, token in zip(going, logits.argmax(dim=1).tolist(), strict=True):
            is_finished[row] = token in ends
            if not is_finished[row]:
                tokens[row].append(token)
        going = [row for row in going if not is_finished[row] and len(tokens[row]) < most]
        if not going:
            return [_Reply(*each) for each in zip(tokens, is_finished, strict=True)]
        new = torch.tensor([tokens[row][-1:] for row in going], device=logits.device)
        hidden = go_on_together([caches[row] for row in going], new)
        logits = caches[0].language_model.head(hidden[:, -1])


def _ends(language_model: LanguageModel) -> set[int]:
    config = getattr(language_model.model, "generation_config", None)
    end = getattr(config, "eos_token_id", None)
    end = getattr(language_model.tokenizer, "eos_token_id", None) if end is None else end
    return set() if end is None else set(end) if isinstance(end, list | tuple) else {int(end)}
