"""What a model goes on from: a text, and perhaps a question after it, as token ids."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.core.arguments import as_integer, as_string, shown
from keepmap.errors import InputError, counted
from keepmap.kv.data.chat import as_user_says, require_chat_template
from keepmap.kv.passes import as_tokens
from keepmap.language_model import LanguageModel

__all__ = ["Prompt", "as_prompt", "require_positions"]


@dataclass(frozen=True, eq=False)
class Prompt:
    """The token ids of a text [N], of which the last `n_question` ask about the rest."""

    ids: Int[Tensor, " N"]
    n_question: int = 0


def as_prompt(language_model: LanguageModel, prompt: Any, question: str | None, chat_template: bool) -> Prompt:
    """The ids of a text and a question, tokenised apart, so that a context has the same ids whatever is asked.

    Args:
        prompt: one text, as in `evict`. question: what comes right after it.
        chat_template: whether both are what a user says in the tokenizer's template, for an answer to come next.

    Raises:
        InputError: not one text, no tokenizer for a string, or no chat template.
        ModelError: the chat template fails.
    """
    if question is not None and not as_string("question", question):
        raise InputError("expected `question` to be a text of one letter or more, got none; leave it out")
    if not chat_template and question is None:
        return Prompt(as_tokens(language_model, prompt, "prompt"))
    if not isinstance(prompt, str):
        what = "a chat template" if chat_template else "a question"
        raise InputError(f"expected `prompt` to be a string, which {what} goes with, got {shown(prompt)}")
    tokenizer = language_model.tokenizer
    if tokenizer is None:
        raise InputError(f'model "{language_model.name}" has no tokenizer for a string; give token ids as `prompt`')
    if not chat_template:
        context = as_tokens(language_model, prompt, "prompt")
        return _with_question(context, _plain_ids(tokenizer, question or ""))
    require_chat_template(tokenizer, language_model.label)
    text = as_user_says(as_string("prompt", prompt) + (question or ""), tokenizer, answered=True)
    # Templates may strip what a user says. Of one that changes the question, too, it counts as context.
    start = len(text) if question is None or question.strip() not in text else text.rindex(question.strip())
    context = as_tokens(language_model, _plain_ids(tokenizer, text[:start]), "prompt")
    return Prompt(context) if question is None else _with_question(context, _plain_ids(tokenizer, text[start:]))


def require_positions(prompt: Prompt, max_new_tokens: int, most: int | None, label: str) -> int:
    """How many new tokens are wanted, where the model has positions for them.

    Raises:
        InputError: no number of them, or more than go behind the text.
    """
    wanted, n = as_integer("max_new_tokens", max_new_tokens, 1), len(prompt.ids)
    if most is not None and n + wanted > most:
        raise InputError(
            f"expected a text and new tokens that fit into the {counted(most, 'position')} of {label}, got "
            f"{counted(n, 'token')} and max_new_tokens={wanted}; lower it, or give a shorter text"
        )
    return wanted


def _plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Without the special tokens that begin a text."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def _with_question(context: Int[Tensor, " C"], question: list[int]) -> Prompt:
    return Prompt(torch.cat([context, torch.tensor(question, device=context.device)]), len(question))
