"""A chain of keys, each of which leads to the next."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from keepmap.kv.tasks.making.haystack import Haystack, draw_keys
from keepmap.kv.tasks.making.woven import Woven
from keepmap.kv.tasks.task import Question, Task, TaskSample

__all__ = ["KeyChain"]


@dataclass(frozen=True)
class KeyChain(Task):
    """Keys that lead to keys, in several chains of prose; where one of them leads in several steps is asked for.

    Attributes:
        hops: steps from the key that is named. chains: how many there are.

    Reference: the idea of SCBench's multi-hop retrieval (Li et al. 2024, arXiv 2412.10319).
    """

    hops: int = 2
    chains: int = 3

    name: ClassVar[str] = "key_chain"
    scoring: ClassVar[Literal["all", "part"]] = "all"
    new_tokens: ClassVar[int] = 32

    def sample(self, rng: random.Random, size: int, haystack: Haystack) -> TaskSample:
        """The steps of all chains in random order, before random ones of `size` sentences."""
        keys = draw_keys(rng, self.chains * (self.hops + 1))
        chains = [keys[first :: self.chains] for first in range(self.chains)]
        steps = [(at, step) for at, chain in enumerate(chains) for step in zip(chain[:-1], chain[1:], strict=True)]
        rng.shuffle(steps)
        slots = [int(rng.random() * (size + 1)) for _ in steps]
        sentences = haystack.sentences(rng, size)
        woven = Woven("Some keys lead to other keys in the following text. Make sure to memorize all of them.\n")
        evidence = {}
        for index in range(size + 1):
            for (at, (key, reached)), slot in zip(steps, slots, strict=True):
                if slot == index:
                    span = woven.add(f"The key {key} leads to {reached}.")
                    woven.add(" ")
                    if at == 0:
                        evidence[key] = span
            if index < size:
                woven.add(f"{sentences[index]} ")
        chain = chains[0]
        question = Question(
            text=f"\nStart at the key {chain[0]} and go {self.hops} steps. Which key do you reach?",
            prefix=f" {self.hops} steps from the key {chain[0]} is the key",
            answers=(chain[-1],),
            target=f" {chain[-1]}",
            evidence=tuple(evidence[key] for key in chain[:-1]),
        )
        return TaskSample(context=woven.text, questions=(question,))
