"""What needles are hidden in: sentences of a text that is named, and the words that keys are made of."""

import functools
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keepmap.core.arguments import as_path
from keepmap.core.storage.text import read_text
from keepmap.errors import InputError
from keepmap.kv.data.corpus import fingerprint, held_out_topics, training_topics
from keepmap.kv.data.facts import WORDS

__all__ = ["Haystack", "as_haystack", "documentation", "draw_keys"]

_ADJECTIVES = """
amber ancient bitter blue bold brave bright brisk broad bronze calm cheerful clever cold cosy crisp curious dark dusty
eager early faint fancy fierce flat fresh gentle giant golden grand green grey happy heavy hollow honest humble icy
jolly kind late lazy light little lively lonely loud lucky merry mighty modern narrow noble odd old pale patient plain
polite proud quick quiet rapid rare red round rough royal rustic salty sharp shiny short shy silent simple sleepy slim
slow small smooth soft solid spicy steady steep strange strong sunny sweet swift tall tame tender thick thin tidy tiny
vast warm wet white wide wild wise wooden young
"""
ADJECTIVES = tuple(_ADJECTIVES.split())
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'()\"/-]{30,}[.!?]")


@dataclass(frozen=True)
class Haystack:
    """Sentences in their order. `name` says of what text, for the protocol."""

    name: str
    text: tuple[str, ...]

    def sentences(self, rng: random.Random, n: int) -> list[str]:
        """n sentences that follow each other, from a random one on; the text begins again where it ends."""
        first = rng.randrange(len(self.text))
        return [self.text[(first + index) % len(self.text)] for index in range(n)]

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        """Its different words of four to ten small letters, in the order of the alphabet."""
        return tuple(sorted({word for sentence in self.text for word in re.findall(r"\b[a-z]{4,10}\b", sentence)}))


@functools.cache
def documentation() -> Haystack:
    """Sentences of Python's documentation, which every CPython carries: those that read as prose, without code.

    >>> documentation().name
    "Python's documentation"
    """
    topics = {**training_topics(), **held_out_topics()}
    pieces = (fingerprint(piece) for name in sorted(topics) for piece in topics[name])
    return Haystack("Python's documentation", _prose(pieces))


def as_haystack(path: str | Path | None) -> Haystack:
    """The sentences of a text file in UTF-8; of Python's documentation without one.

    Raises:
        InputError: the file cannot be read, or has no sentence.
    """
    if path is None:
        return documentation()
    text = read_text("haystack", path)
    sentences = tuple(" ".join(part.split()) for part in _SENTENCE_END.split(text) if part.strip())
    if not sentences:
        raise InputError("expected `haystack` to be a text with sentences, got none; put some into it")
    return Haystack(as_path("haystack", path).name, sentences)


def draw_keys(rng: random.Random, n: int) -> list[str]:
    """n different keys such as "quiet-river"."""
    numbers = rng.sample(range(len(ADJECTIVES) * len(WORDS)), n)
    return [f"{ADJECTIVES[number // len(WORDS)]}-{WORDS[number % len(WORDS)]}" for number in numbers]


def _prose(pieces: Iterable[str]) -> tuple[str, ...]:
    sentences: dict[str, None] = {}
    for piece in pieces:
        for sentence in _SENTENCE_END.split(piece):
            if _PROSE.fullmatch(sentence):
                sentences[sentence] = None
    return tuple(sentences)
