"""A text as what a user says in a model's chat template."""

from typing import Any

from keepmap.errors import InputError, ModelError

__all__ = ["as_next_turn", "as_user_says", "require_chat_template"]


def require_chat_template(tokenizer: Any, model_name: str) -> None:
    """Whether a tokenizer has a chat template.

    Raises:
        InputError: it has none.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(f"the tokenizer of {model_name} has no chat template; leave `chat_template` out")


def as_user_says(text: str, tokenizer: Any, answered: bool = False) -> str:
    """The text in the template, special tokens among it; where `answered`, an answer is to come next.

    Raises:
        ModelError: the template fails.
    """
    return _rendered([{"role": "user", "content": text}], tokenizer, answered)


def as_next_turn(text: str, tokenizer: Any) -> str:
    """What comes between an answer and the one to what the user says next, which is the text.

    Raises:
        ModelError: the template fails, or leaves the answer out.
    """
    first, mark = "A question.", "Its answer, 4821"
    messages = [{"role": "user", "content": first}, {"role": "assistant", "content": mark}]
    whole = _rendered([*messages, {"role": "user", "content": text}], tokenizer, answered=True)
    if mark not in whole:
        raise ModelError("the tokenizer's chat template leaves earlier answers out; leave `chat_template` out")
    return whole[whole.rindex(mark) + len(mark) :]


def _rendered(messages: list[dict[str, str]], tokenizer: Any, answered: bool) -> str:
    from jinja2 import TemplateError

    try:
        wrapped: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answered)
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"the tokenizer's chat template fails: {error}; leave `chat_template` out") from None
    return wrapped
