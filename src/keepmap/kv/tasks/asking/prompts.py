"""Samples as tokens: the context, each question with the beginning of its answer, and where the evidence stands.

C tokens of a context · Q of a question · A of an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.errors import InputError, ModelError, counted
from keepmap.kv.data.chat import as_next_turn, as_user_says, require_chat_template
from keepmap.kv.passes import as_tokens
from keepmap.kv.tasks.task import Question, Span, TaskSample
from keepmap.language_model import LanguageModel

__all__ = ["Asked", "Prompt", "Prompts"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """A question as tokens.

    Attributes:
        question: in words; None where a text goes on.
        ids: what comes after the context: the question and the beginning of the answer, [Q].
        target: the right answer, [A].
        evidence: the positions of each span of evidence.
    """

    question: Question | None
    ids: Int[Tensor, " Q"]
    target: Int[Tensor, " A"]
    evidence: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Prompt:
    """What is read once [C], and what is asked about it then; `name` is what messages call it.

    Attributes:
        in_turns: whether a query comes after the earlier ones and their right answers; its ids then begin with the last
            token of the answer before it.
    """

    name: str
    context: Int[Tensor, " C"]
    queries: tuple[Asked, ...]
    in_turns: bool = False


class Prompts:
    """Turns samples into tokens for one model.

    Args:
        chat_template: whether context and question are what a user says, for the model to answer.
        inside: whether the question belongs to what is read, and compressed; each question is then read with a context
            of its own.

    Raises:
        InputError: no tokenizer, one that does not say where its tokens stand, or no chat template.
    """

    def __init__(self, language_model: LanguageModel, *, chat_template: bool, inside: bool) -> None:
        tokenizer = language_model.tokenizer
        if tokenizer is None:
            raise InputError(f'model "{language_model.name}" has no tokenizer, which questions need; load it with one')
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f'the tokenizer of "{language_model.name}" does not say where its tokens stand, which evidence needs; '
                "give a model with a fast tokenizer"
            )
        if chat_template:
            require_chat_template(tokenizer, language_model.label)
        self._language_model, self._tokenizer = language_model, tokenizer
        self._chat_template, self._inside = chat_template, inside

    def length(self, sample: TaskSample) -> int:
        """The tokens of a sample: its context with the longest of its questions, and no answer."""
        first, longest = self._texts(sample, sample.questions[0])[0], 0
        for question in sample.questions:
            context, after = self._texts(sample, question)
            longest = max(longest, len(self._ids(after)) + len(self._ids(context[len(first) :])))
        return len(self._pieces(sample, sample.questions[0])[0]) + longest

    def prompts(self, sample: TaskSample, name: str, new_tokens: int, in_turns: bool = False) -> list[Prompt]:
        """The sample as tokens: one prompt, or with questions inside one for each of them.

        Args:
            new_tokens: how many there may be in an answer, at least.
            in_turns: whether the questions are one conversation.

        Raises:
            InputError: it does not fit into the model, a span of evidence is no part of the context, or turns are to be
                inside of it.
        """
        if in_turns and self._inside:
            raise InputError(f'expected `question` to be "after" in {name}, whose questions are turns, got "inside"')
        prompts: list[Prompt] = []
        n_before = 0
        for question in sample.questions:
            context, offsets, shift = self._pieces(sample, question)
            query = Asked(
                question=question,
                ids=self._tensor(self._query(sample, question, prompts[0].queries if prompts and in_turns else ())),
                target=self._tensor(self._ids(question.target)),
                evidence=tuple(_positions(offsets, span, shift, name) for span in question.evidence),
            )
            n_before += len(query.ids) + len(query.target) - 1 if in_turns else 0
            n_new = n_before if in_turns else len(query.ids)
            self._check_room(len(context) + n_new + max(len(query.target), new_tokens), name)
            if prompts and not self._inside:
                first = prompts.pop()
                prompts = [replace(first, queries=(*first.queries, query))]
            else:
                ids = self._tensor(context)
                prompts.append(Prompt(name=name, context=ids, queries=(query,), in_turns=in_turns))
        return prompts

    def text(self, text: str, name: str, length: int | None) -> Prompt:
        """A text whose second half is to be predicted from its first, cut to `length` tokens.

        Raises:
            InputError: fewer than four tokens, or more than the model takes.
        """
        ids = as_tokens(self._language_model, text, "texts")[:length]
        if len(ids) < 4:
            raise InputError(f"expected `texts` of four tokens or more, got {counted(len(ids), 'token')} in {name}")
        half = len(ids) // 2
        query = Asked(question=None, ids=ids[half - 1 : half], target=ids[half:], evidence=())
        return Prompt(name=name, context=ids[: half - 1], queries=(query,))

    def _texts(self, sample: TaskSample, question: Question) -> tuple[str, str]:
        """What is read first, and what comes after that until the answer begins."""
        words = sample.context + question.text
        if not self._chat_template:
            after = question.prefix
            return (words, after) if self._inside else (sample.context, question.text + after)
        whole = as_user_says(words, self._tokenizer, answered=True)
        # Templates may strip what a user says.
        context = (words if self._inside else sample.context).strip()
        if context not in whole:
            raise ModelError("the tokenizer's chat template changes what a user says; leave `chat_template` out")
        end = whole.index(context) + len(context)
        return whole[:end], whole[end:] + question.prefix.lstrip()

    def _query(self, sample: TaskSample, question: Question, earlier: Sequence[Asked]) -> list[int]:
        """The tokens of a question: after the context, or in its turn after what was asked and answered earlier."""
        if not earlier:
            return self._ids(self._texts(sample, question)[1])
        between = question.text + question.prefix
        if self._chat_template:
            between = as_next_turn(question.text.strip(), self._tokenizer) + question.prefix.lstrip()
        return [int(earlier[-1].target[-1]), *self._ids(between)]

    def _pieces(self, sample: TaskSample, question: Question) -> tuple[list[int], list[Span], int]:
        """The tokens of what is read first, the characters of each, and by how many its context is moved there."""
        text, _ = self._texts(sample, question)
        encoded = self._tokenizer(
            text, add_special_tokens=not self._chat_template, return_offsets_mapping=True, verbose=False
        )
        start = len(sample.context) - len(sample.context.lstrip()) if self._chat_template else 0
        shift = text.index(sample.context.strip()) - start if self._chat_template else 0
        return encoded["input_ids"], encoded["offset_mapping"], shift

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _tensor(self, ids: Sequence[int]) -> Int[Tensor, " N"]:
        return torch.tensor(ids, dtype=torch.int64, device=self._language_model.device)

    def _check_room(self, n: int, name: str) -> None:
        most = self._language_model.max_positions
        if most is not None and n > most:
            raise InputError(
                f"expected contexts and answers that fit into the {counted(most, 'position')} of "
                f"{self._language_model.label}, got {counted(n, 'token')} in {name}; give a smaller `length`, or a "
                "shorter context"
            )


def _positions(offsets: Sequence[Span], span: Span, shift: int, name: str) -> tuple[int, ...]:
    """The tokens that a span of characters touches."""
    first, end = span[0] + shift, span[1] + shift
    positions = tuple(at for at, (start, stop) in enumerate(offsets) if start < end and stop > first and stop > start)
    if not positions:
        raise InputError(f"the evidence of {name} is no part of its context: characters {span[0]} to {span[1]}")
    return positions
