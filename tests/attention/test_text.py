"""Every form in which a text is given, and what is refused."""

import numpy as np
import pytest
import torch

from keepmap.attention.text import as_tokens, one_text
from keepmap.errors import InputError
from keepmap.language_model import load_language_model
from tests.families import build


@pytest.fixture(scope="module")
def tiny():
    return load_language_model("tiny", device="cpu")


def test_a_string_is_what_the_tokenizer_makes_of_it(tiny):
    assert as_tokens(tiny, "hello there").tolist() == tiny.tokenizer.encode("hello there")


@pytest.mark.parametrize(
    "inputs",
    [
        [5, 6, 7],
        torch.tensor([[5, 6, 7]], dtype=torch.int32),
        np.array([5, 6, 7], dtype=np.uint8),
        {"input_ids": [5, 6, 7]},
        {"input_ids": torch.tensor([[0, 0, 5, 6, 7]]), "attention_mask": torch.tensor([[0, 0, 1, 1, 1]])},
        {"input_ids": [5, 6, 7, 9], "attention_mask": [1, 1, 1, 0]},
    ],
    ids=["list", "row", "numpy", "mapping", "padded before", "padded after"],
)
def test_tokens_in_any_form(tiny, inputs):
    result = as_tokens(tiny, inputs)
    assert result.tolist() == [5, 6, 7] and result.dtype == torch.int64


def test_arrays_that_torch_shares_unwillingly(tiny):
    read_only = np.arange(5, 8)
    read_only.flags.writeable = False
    assert as_tokens(tiny, read_only).tolist() == [5, 6, 7]
    assert as_tokens(tiny, read_only[::-1]).tolist() == [7, 6, 5]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "one token or more, got none"),
        ([[1, 2], [3, 4]], "to be one text, got the tokens of 2 texts; give one of them"),
        ([[[1, 2]]], r"got \(1, 1, 2\)"),
        ([1.5], "float"),
        ([True], "bool"),
        ([-1], r"-1\.\.-1"),
        (object(), "got an? object"),
        ({"input_ids": [[1], [2, 3]]}, "to be one text, got the tokens of 2 texts"),
        ({"input_ids": [[1], [2]], "attention_mask": [[1], [1]]}, "to be one text, got the tokens of 2 texts"),
        ({"input_ids": ["a", [1]]}, "to be one text .* got a list"),
        ({"attention_mask": [1]}, "to hold input_ids, got a mapping with attention_mask"),
        ({"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]}, "inside the text"),
        ({"input_ids": [1, 2], "attention_mask": [1]}, r"\(2,\).*\(1,\)"),
    ],
)
def test_what_is_no_text_is_one_line(tiny, inputs, message):
    with pytest.raises(InputError, match=message):
        as_tokens(tiny, inputs)


def test_a_string_needs_a_tokenizer_and_a_text_has_a_longest_length():
    language_model = load_language_model(build("gpt2"))
    with pytest.raises(InputError, match="no tokenizer"):
        as_tokens(language_model, "hello")
    assert len(one_text(torch.zeros(1024, dtype=torch.int64), language_model)) == 1024
    with pytest.raises(InputError, match="to be at most 1024 tokens, .*got 1025; give the first 1024 of its token"):
        one_text(torch.zeros(1025, dtype=torch.int64), language_model)
