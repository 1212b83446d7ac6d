"""Texts with facts to recall: "The code of river is 4821." stated once and asked again later.

A (word, code) pair belongs to training or to evaluation by its hash, so no evaluation pair was ever generated for
training, with any seed. A probe is a value: its text and where each fact is stated and asked.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CODE_DIGITS",
    "WORDS",
    "Fact",
    "Probe",
    "TokenProbe",
    "draw_code",
    "is_for_evaluation",
    "list_probe",
    "locate",
    "prose_probe",
    "tokenize_probe",
    "weave_facts",
]

_NOUNS = """
river stone apple bridge candle dragon eagle forest garden hammer island jungle kettle ladder meadow needle ocean
pepper rabbit saddle temple valley window anchor basket castle desert engine falcon glacier harbor iron jacket
lantern marble nickel orange palace quarry ribbon silver tunnel umbrella violin walnut zebra bottle copper dolphin
feather guitar helmet insect jewel kitten lemon mirror oyster pillow rocket salmon tiger velvet whale
"""
WORDS = tuple(_NOUNS.split())
CODE_DIGITS = 4
EVALUATION_SHARE = 8  # one (word, code) pair in so many is kept for evaluation


@dataclass(frozen=True)
class Fact:
    """A word and its code, with the character offsets of the code's first digit where it is stated and answered."""

    word: str
    code: str
    stated: int
    answer: int


@dataclass(frozen=True)
class Probe:
    """A text in which each fact is stated once and asked once, later. Facts stand in the order of their questions."""

    text: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class TokenProbe:
    """A probe as tokens: `ids` [N], and the positions of the codes' digits, `stated` and `answers`, [facts][digits]."""

    ids: tuple[int, ...]
    stated: tuple[tuple[int, ...], ...]
    answers: tuple[tuple[int, ...], ...]


def is_for_evaluation(word: str, code: str) -> bool:
    """Whether this pair is kept away from training; depends on the pair alone, in every Python version."""
    return hashlib.sha256(f"{word} {code}".encode()).digest()[0] % EVALUATION_SHARE == 0


def draw_code(rng: random.Random, word: str, *, evaluation: bool) -> str:
    """A random code for the word from the training or the evaluation side of the split."""
    while True:
        code = f"{rng.randrange(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        if is_for_evaluation(word, code) == evaluation:
            return code


def list_probe(rng: random.Random, n_facts: int, n_asked: int | None = None, *, evaluation: bool = False) -> Probe:
    """A dense list of facts, then some of them again in another order.

    "Codes: river is 4821; stone is 9310; ... Again: stone is 9310; river is 4821;"
    """
    pairs = _pairs(rng, n_facts, evaluation)
    questions = rng.sample(pairs, n_facts if n_asked is None else n_asked)
    builder = _Builder()
    builder.state(_statement(pairs), pairs)
    builder.ask(_question(questions), questions)
    return builder.probe()


def prose_probe(
    rng: random.Random,
    documents: Sequence[Sequence[str]],
    length: int,
    n_facts: int,
    *,
    evaluation: bool = False,
    dense: float = 0.0,
    gap: int = 0,
    measure: Callable[[str], int] = len,
) -> Probe:
    """Lines of one document with facts between them and the questions after them, scattered over what follows.

    Args:
        documents: prose, each document a list of paragraphs; the lines are consecutive ones of a random document,
            and of further documents if it ends.
        length: of the whole text, in units of `measure` (characters, or tokens if it counts those); the text is
            at most that long and shorter by less than one line.
        evaluation: from which side of the split the pairs come.
        dense: share of the facts that stand together in one list, as do their questions.
        gap: least length of prose between any fact's statement and its question.

    Raises:
        ValueError: the facts alone are longer than `length`, or there are not 1 to 64 of them.
    """
    groups = _groups(rng, n_facts, evaluation, dense)
    room = length - sum(measure(_statement(group)) + measure(_question(group)) for group in groups)
    if room < 0:
        raise ValueError(f"{n_facts} facts and their questions take {length - room}, more than the length {length}")
    return _weave(rng, _lines(rng, documents, room, measure), groups, gap, measure)


def weave_facts(
    rng: random.Random, lines: Sequence[str], n_facts: int, *, evaluation: bool = False, dense: float = 0.0, gap: int
) -> Probe:
    """The given lines with facts between them and questions after them, as `prose_probe` does; `gap` in characters."""
    return _weave(rng, lines, _groups(rng, n_facts, evaluation, dense), gap, len)


def tokenize_probe(probe: Probe, tokenizer: Any) -> TokenProbe:
    """The probe in tokens of a fast Hugging Face tokenizer, without added special tokens.

    Raises:
        ValueError: if the tokenizer does not give each digit a token of its own.
    """
    encoded = tokenizer(probe.text, add_special_tokens=False, return_offsets_mapping=True)
    return locate(probe, encoded["input_ids"], encoded["offset_mapping"])


def locate(probe: Probe, ids: Sequence[int], offsets: Sequence[tuple[int, int]]) -> TokenProbe:
    """The probe as the tokens `ids`, whose character spans are `offsets`."""
    at = {start: index for index, (start, end) in enumerate(offsets) if end == start + 1}

    def positions(first: int) -> tuple[int, ...]:
        try:
            return tuple(at[first + digit] for digit in range(CODE_DIGITS))
        except KeyError:
            raise ValueError("a probe needs a tokenizer that gives each digit a token of its own") from None

    return TokenProbe(
        ids=tuple(ids),
        stated=tuple(positions(fact.stated) for fact in probe.facts),
        answers=tuple(positions(fact.answer) for fact in probe.facts),
    )


def _pairs(rng: random.Random, n_facts: int, evaluation: bool) -> list[tuple[str, str]]:
    if not 1 <= n_facts <= len(WORDS):
        raise ValueError(f"n_facts must be 1 to {len(WORDS)}, one word per fact; got {n_facts}")
    return [(word, draw_code(rng, word, evaluation=evaluation)) for word in rng.sample(WORDS, n_facts)]


def _groups(rng: random.Random, n_facts: int, evaluation: bool, dense: float) -> list[list[tuple[str, str]]]:
    """Facts that are stated together: single ones, and the list that a share `dense` of them makes."""
    pairs = _pairs(rng, n_facts, evaluation)
    n_listed = round(dense * n_facts)
    return [[pair] for pair in pairs[n_listed:]] + ([pairs[:n_listed]] if n_listed else [])


def _weave(
    rng: random.Random,
    lines: Sequence[str],
    groups: Sequence[list[tuple[str, str]]],
    gap: int,
    measure: Callable[[str], int],
) -> Probe:
    slots_stated, slots_asked = _slots(rng, [measure(line) for line in lines], len(groups), gap)
    builder = _Builder()
    for index in range(len(lines) + 1):
        for group, slot in zip(groups, slots_stated, strict=True):
            if slot == index:
                builder.state(_statement(group), group)
        for group, slot in zip(groups, slots_asked, strict=True):
            if slot == index:
                questions = rng.sample(group, len(group))
                builder.ask(_question(questions), questions)
        if index < len(lines):
            builder.add(lines[index])
    return builder.probe()


def _statement(group: Sequence[tuple[str, str]]) -> str:
    if len(group) == 1:
        return "The code of {} is {}.\n".format(*group[0])
    return "Codes:" + "".join(f" {word} is {code};" for word, code in group) + "\n"


def _question(group: Sequence[tuple[str, str]]) -> str:
    if len(group) == 1:
        return "What is the code of {0}? The code of {0} is {1}.\n".format(*group[0])
    return "Again:" + "".join(f" {word} is {code};" for word, code in group) + "\n"


def _lines(
    rng: random.Random, documents: Sequence[Sequence[str]], room: int, measure: Callable[[str], int]
) -> list[str]:
    """Consecutive lines of random documents that together measure at most `room`."""
    lines: list[str] = []
    while True:
        document = rng.choice(documents)
        for paragraph in document[rng.randrange(len(document)) :]:
            for line in f"{paragraph}\n\n".splitlines(keepends=True):
                room -= measure(line)
                if room < 0:
                    return lines
                lines.append(line)


def _slots(rng: random.Random, sizes: Sequence[int], n: int, gap: int) -> tuple[list[int], list[int]]:
    """For each of n groups, before which line it is stated and before which it is asked, at least `gap` later."""
    before = [0]
    for size in sizes:
        before.append(before[-1] + size)
    # A fact may be stated wherever a question still fits behind it.
    last = max((index for index, done in enumerate(before) if before[-1] - done >= gap), default=0)
    stated, questions = [], []
    for _ in range(n):
        slot = rng.randint(0, last)
        least = next((i for i in range(slot + 1, len(before)) if before[i] - before[slot] >= gap), len(sizes))
        stated.append(slot)
        questions.append(rng.randint(least, len(sizes)))
    return stated, questions


class _Builder:
    """Gathers a text and remembers at which characters codes stand."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._stated: dict[str, tuple[str, int]] = {}
        self._facts: list[Fact] = []

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)

    def state(self, piece: str, group: Sequence[tuple[str, str]]) -> None:
        for word, code in group:
            self._stated[word] = (code, self._length + _code_offset(piece, word, code))
        self.add(piece)

    def ask(self, piece: str, group: Sequence[tuple[str, str]]) -> None:
        for word, code in group:
            offset = self._length + _code_offset(piece, word, code)
            self._facts.append(Fact(word, code, self._stated[word][1], offset))
        self.add(piece)

    def probe(self) -> Probe:
        return Probe("".join(self._pieces), tuple(self._facts))


def _code_offset(piece: str, word: str, code: str) -> int:
    phrase = f" {word} is {code}"
    return piece.index(phrase) + len(phrase) - len(code)
