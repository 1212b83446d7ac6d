"""Texts from Python: one or several, in every form that a tokenizer or a user gives."""

from pathlib import Path

import numpy
import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.data.sequences import each_text, texts_of
from keepmap.language_model import load_language_model

BATCH = {"input_ids": [[5, 6, 0], [7, 8, 9]], "attention_mask": [[1, 1, 0], [1, 1, 1]]}


@pytest.fixture(scope="module")
def language_model(model_folder):
    return load_language_model(model_folder, device="cpu")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([5, 6, 7], [(5, 6, 7)]),
        ((5, 6), [(5, 6)]),
        (torch.tensor([5, 6], dtype=torch.int32), [(5, 6)]),
        (torch.tensor([[5, 6]]), [(5, 6)]),
        (torch.tensor([[5, 6], [7, 8]]), [(5, 6), (7, 8)]),
        (numpy.array([[5, 6], [7, 8]]), [(5, 6), (7, 8)]),
        ([[5, 6], torch.tensor([7, 8])], [(5, 6), (7, 8)]),
        (([5, number] for number in (6, 7)), [(5, 6), (5, 7)]),
        ({"input_ids": [5, 6]}, [(5, 6)]),
        ({"input_ids": torch.tensor([[5, 6]])}, [(5, 6)]),
        (BATCH, [(5, 6), (7, 8, 9)]),
        ({name: torch.tensor(rows) for name, rows in BATCH.items()}, [(5, 6), (7, 8, 9)]),
        ([BATCH["input_ids"][1], {"input_ids": [5]}], [(7, 8, 9), (5,)]),
        ("abc", ["abc"]),
        (["abc", [5, 6]], ["abc", (5, 6)]),
    ],
)
def test_every_form(language_model, texts, expected):
    result = texts_of(language_model, texts)
    assert [text.text for text in result] == expected
    assert [text.line for text in result] == list(range(1, len(expected) + 1))


def test_what_a_tokenizer_gives_is_one_text_or_several(language_model):
    tokenizer = language_model.tokenizer
    (text,) = texts_of(language_model, tokenizer("abc"))
    assert text.text == tuple(tokenizer.encode("abc"))
    assert [len(text.text) for text in texts_of(language_model, tokenizer(["abc", "de"]))] == [3, 2]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "expected `texts` to be one text or more, got none"),
        (3, "got an int; a data file is read by compare_compression_methods"),
        (Path("data.jsonl"), "got a PosixPath"),
        (b"abc", "got a bytes"),
        (["abc", [0.5, 1.5]], r"texts\[1\]: "),
        (["abc", 3], r"texts\[1\]: "),
        ([[5, 999]], r"texts\[0\]: expected `texts` to be token ids in 0\.\.256, which the model has, got 5\.\.999"),
        (
            {"attention_mask": [1]},
            r"texts\[0\]: expected `texts` to hold input_ids, got a mapping with attention_mask",
        ),
    ],
)
def test_what_is_no_text_is_named(language_model, texts, message):
    with pytest.raises(InputError, match=message):
        texts_of(language_model, texts)


def test_a_long_text_is_taken_here_and_judged_once_it_is_cut(language_model):
    assert len(texts_of(language_model, [5] * 1000)[0].text) == 1000
    assert each_text("a") == ["a"]
