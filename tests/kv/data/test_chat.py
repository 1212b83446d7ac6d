"""Texts in a chat template, for an answer or as they are; templates that fail are one line."""

import pytest

from keepmap.errors import InputError, ModelError
from keepmap.kv.data.chat import as_user_says, require_chat_template
from keepmap.language_model import load_language_model

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<model>{% endif %}"
)


@pytest.fixture
def tokenizer():
    tokenizer = load_language_model("tiny").tokenizer
    tokenizer.chat_template = TEMPLATE
    yield tokenizer
    tokenizer.chat_template = None


def test_a_text_is_what_a_user_says(tokenizer) -> None:
    require_chat_template(tokenizer, "tiny")
    assert as_user_says("hello", tokenizer) == "<user>hello"
    assert as_user_says("hello", tokenizer, answered=True) == "<user>hello<model>"


def test_a_template_that_fails_or_is_not_there_is_one_line(tokenizer) -> None:
    tokenizer.chat_template = "{{ raise_exception('only a system may speak') }}"
    with pytest.raises(ModelError, match="chat template fails: only a system may speak; leave `chat_template` out"):
        as_user_says("hello", tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="the tokenizer of tiny has no chat template; leave `chat_template` out"):
        require_chat_template(tokenizer, "tiny")
