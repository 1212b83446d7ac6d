"""Reading texts: every fault is one line that names the line of the file."""

import json
from pathlib import Path

import pytest

from keepmap.errors import InputError, ModelError
from keepmap.kv.data.texts import Text, read_texts, tokenize_texts


class ByteTokenizer:
    """One token per byte, and one in front as Llama has."""

    def __call__(self, text: str, verbose: bool = True) -> dict[str, list[int]]:
        assert not verbose, "a long text would be warned about on stderr, whatever is done with it later"
        return {"input_ids": [256, *text.encode()]}


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tokenize(*texts: str, **options: object):
    read = tuple(Text(line, text) for line, text in enumerate(texts, start=1))
    return tokenize_texts(read, ByteTokenizer(), **{"vocab_size": 257, **options})


def test_lines_are_read_in_order_and_blank_ones_passed_over(tmp_path):
    path = write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "one"}\r\n\n  \n{"text": "tw\xc3\xb6", "id": 3}')
    assert read_texts(path) == (Text(1, "one"), Text(4, "twö"))


def test_another_field_and_the_first_lines_alone(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"body": "one"}\n{"body": "two"}\nnot read\n')
    assert [text.text for text in read_texts(path, field="body", max_samples=2)] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"a\.jsonl is empty"),
        ("\n\n", r"a\.jsonl is empty"),
        ('{"text": "a"}\nnot json', r"line 2 of .* is not JSON \(Expecting value, column 1\)"),
        ('{"text": "a"', r"line 1 of .* is not JSON"),
        ('\n{"body": "b", "id": 1}', r'line 2 of .* has no field "text", found "body", "id"; .*`text_field`'),
        ("{}", r'has no field "text", found no fields'),
        ('["text"]', r'line 1 of .* is a list; it must be an object with the field "text"'),
        ("null", r"is null; it must be an object"),
        ('{"text": 3}', r'the field "text" in line 1 of .* is a number; it must be a string'),
        ('{"text": null}', r"is null; it must be a string"),
        ('{"text": {"a": 1}}', r"is an object; it must be a string"),
        ('{"text": true}', r"is true or false; it must be a string"),
        (r'{"text": "\ud800"}', r"half of a surrogate pair"),
        (b'{"text": "a"}\n{"text": "\xff"}', r"line 2 of .* is not UTF-8 \(byte 11\)"),
        ('{"text": "a"}'.encode("utf-16"), r"line 1 of .* is not UTF-8"),
        ("[" * 100_000, r"line 1 of .* is not JSON"),
        ('{"text": ' + "9" * 5000 + "}", r"line 1 of .* is not JSON"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_texts(write(tmp_path / "a.jsonl", content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(
        InputError, match="no data file at .*: no such file; `keepmap sample-data --out .*none.jsonl` makes one"
    ):
        read_texts(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot read the data file"):
        read_texts(tmp_path)


@pytest.mark.parametrize("number", [0, -3])
def test_max_samples_below_one(tmp_path, number):
    with pytest.raises(InputError, match=f"expected `max_samples` to be 1 or more, got {number}"):
        read_texts(write(tmp_path / "a.jsonl", '{"text": "a"}'), max_samples=number)


def test_texts_are_cut_and_short_ones_skipped():
    samples = tokenize("abc", "", "defgh", max_length=4)
    assert samples.skipped_lines == (2,)
    assert [(sample.index, sample.line, sample.ids) for sample in samples.samples] == [
        (0, 1, (256, 97, 98, 99)),
        (1, 3, (256, 100, 101, 102)),
    ]


def test_all_too_short_and_too_long():
    with pytest.raises(InputError, match="all 2 texts have fewer than 2 tokens; .* give longer texts"):
        tokenize("", "")
    with pytest.raises(InputError, match="line 2 has 6 tokens, m has 4 positions; max_length=4 would use"):
        tokenize("abc", "defgh", max_positions=4, model_name="m")
    assert len(tokenize("defgh", max_positions=4, max_length=4).samples[0].ids) == 4
    with pytest.raises(InputError, match="expected `max_length` to be 2 or more, got 1"):
        tokenize("abc", max_length=1)


def test_another_models_tokenizer_and_none():
    with pytest.raises(ModelError, match="gives id 256, the model has a vocabulary of 200"):
        tokenize("abc", vocab_size=200)
    with pytest.raises(ModelError, match="has no tokenizer"):
        tokenize_texts((Text(1, "a"),), None, vocab_size=3)


def test_json_escapes_are_text(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "ö\n😀"}))
    assert read_texts(path)[0].text == "ö\n😀"
