"""Reading texts: every fault is one line that names the line of the file."""

import json
import os
from pathlib import Path

import pytest

from keepmap.errors import InputError, ModelError
from keepmap.kv.data.texts import Skipped, Text, read_texts, tokenize_texts


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
    assert read_texts(path) == ((Text(1, "one"), Text(4, "twö")), ())


def test_another_field_and_the_first_lines_alone(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"body": "one"}\n{"body": "two"}\nnot read\n')
    texts, _ = read_texts(path, field="body", max_samples=2)
    assert [text.text for text in texts] == ["one", "two"]


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
        ('{"text": 3}', r'line 1 of .* has a number in the field "text"; it must be a string'),
        ('{"text": null}', r'has null in the field "text"; it must be a string'),
        ('{"text": {"a": 1}}', r'has an object in the field "text"; it must be a string'),
        ('{"text": true}', r'has true or false in the field "text"; it must be a string'),
        (r'{"text": "\ud800"}', r"half of a surrogate pair"),
        (b'{"text": "a"}\n{"text": "\xff"}', r"line 2 of .* is not UTF-8 \(byte 11\)"),
        ('{"text": "a"}'.encode("utf-16"), r"line 1 of .* is not UTF-8"),
        ("[" * 100_000, r"line 1 of .* is not JSON"),
        ('{"text": ' + "9" * 5000 + "}", r"line 1 of .* is not JSON"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_texts(write(tmp_path / "a.jsonl", content), strict=True)
    assert "\n" not in str(caught.value)


def test_bad_lines_are_skipped_and_named_and_count_as_read(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": 3}\n{"text": "one"}\n\nnot json\n{"text": "two"}\n{"text": "three"}')
    texts, skipped = read_texts(path, max_samples=4)
    assert [text.text for text in texts] == ["one", "two"]
    assert [str(line) for line in skipped] == [
        'line 1 has a number in the field "text"',
        "line 4 is not JSON (Expecting value, column 1)",
    ]
    with pytest.raises(InputError, match='line 1 of .* has a number in the field "text"; it must be a string'):
        read_texts(path, strict=True)
    with pytest.raises(InputError, match='line 1 of .* has a number in the field "text"'):
        read_texts(path, max_samples=1)  # nothing is left


def test_a_text_file_is_one_text(tmp_path):
    path = write(tmp_path / "a.TXT", b"\xef\xbb\xbfone\r\ntw\xc3\xb6\n")
    assert read_texts(path) == ((Text(1, "one\ntwö\n", "a.TXT"),), ())
    with pytest.raises(InputError, match=r"^[^ ]*b\.md is not UTF-8 \(byte 2\); save the file as UTF-8"):
        read_texts(write(tmp_path / "b.md", b"a\xff"))
    with pytest.raises(InputError, match=r"no data file at .*none.txt: no such file; name a .txt or .md file"):
        read_texts(tmp_path / "none.txt")


def test_a_folder_of_text_files(tmp_path):
    with pytest.raises(InputError, match=r"is empty; put .txt or .md files into it"):
        read_texts(tmp_path)
    write(tmp_path / "b.md", "bees")
    write(tmp_path / "a.pdf", "%PDF")
    write(tmp_path / "c.txt", b"\xff")
    write(tmp_path / "d.txt", "dees")
    write(tmp_path / ".hidden.txt", "no")
    write(tmp_path / "e\x1b[31m.bin", "")
    (tmp_path / "f.md").mkdir()
    texts, skipped = read_texts(tmp_path)
    assert texts == (Text(2, "bees", "b.md"), Text(4, "dees", "d.txt"))
    assert [str(file) for file in skipped] == [
        "a.pdf is no .txt or .md file",
        "c.txt is not UTF-8 (byte 1)",
        "'e\\x1b[31m.bin' is no .txt or .md file",
        "f.md is a folder, not a file",
    ]
    assert len(read_texts(tmp_path, max_samples=1)[0]) == 1
    with pytest.raises(InputError, match=r"a\.pdf of .* is no .txt or .md file; take it out of the folder"):
        read_texts(tmp_path, strict=True)


def test_a_missing_file_and_one_that_cannot_be_read(tmp_path):
    with pytest.raises(
        InputError, match="no data file at .*: no such file; `keepmap sample-data --out .*none.jsonl` makes one"
    ):
        read_texts(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot read the data file"):
        read_texts(write(tmp_path / "file", "") / "below")


@pytest.mark.parametrize("number", [0, -3])
def test_max_samples_below_one(tmp_path, number):
    with pytest.raises(InputError, match=f"expected `max_samples` to be 1 or more, got {number}"):
        read_texts(write(tmp_path / "a.jsonl", '{"text": "a"}'), max_samples=number)


def test_texts_are_cut_and_short_ones_skipped():
    samples = tokenize("abc", "", "defgh", max_length=4)
    assert samples.skipped == (Skipped(2, "line 2", "has fewer than 2 tokens"),)
    assert [(sample.index, sample.line, sample.ids) for sample in samples.samples] == [
        (0, 1, (256, 97, 98, 99)),
        (1, 3, (256, 100, 101, 102)),
    ]


def test_all_too_short_and_too_long():
    with pytest.raises(InputError, match="all 2 texts have fewer than 2 tokens; .* give longer texts"):
        tokenize("", "")
    with pytest.raises(InputError, match="^the only text has fewer than 2 tokens; .* give longer texts"):
        tokenize("")
    with pytest.raises(InputError, match="line 2 has 6 tokens, m has 4 positions; max_length=4 would use"):
        tokenize("abc", "defgh", max_positions=4, model_name="m")
    assert len(tokenize("defgh", max_positions=4, max_length=4).samples[0].ids) == 4
    with pytest.raises(InputError, match="expected `max_length` to be 2 or more, got 1"):
        tokenize("abc", max_length=1)


def test_what_is_skipped_stands_in_the_order_of_the_data():
    bad = (Skipped(0, "line 0", "is not JSON"), Skipped(9, "line 9", "is not JSON"))
    samples = tokenize("", "defgh", "abc", max_positions=4, model_name="m", skip_long=True, skipped=bad)
    assert [str(text) for text in samples.skipped] == [
        "line 0 is not JSON",
        "line 1 has fewer than 2 tokens",
        "line 2 has 6 tokens, m has 4 positions",
        "line 9 is not JSON",
    ]
    assert [sample.line for sample in samples.samples] == [3]
    with pytest.raises(InputError, match="line 1 has fewer than 2 tokens; give longer texts"):
        tokenize("", "abc", skip_short=False)
    with pytest.raises(InputError, match="line 1 has 6 tokens, m has 4 positions; max_length=4 would use"):
        tokenize("defgh", "", max_positions=4, model_name="m", skip_long=True)  # nothing is left


class ChatTokenizer(ByteTokenizer):
    chat_template = "{{ messages }}"

    def apply_chat_template(self, messages: list[dict[str, str]], tokenize: bool, **_: bool) -> str:
        assert not tokenize
        (message,) = messages
        return f"<{message['role']}>{message['content']}</>"

    def __call__(self, text: str, verbose: bool = True, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = super().__call__(text, verbose=verbose)["input_ids"]
        return {"input_ids": ids if add_special_tokens else ids[1:]}


def test_a_chat_template_is_put_around_each_text_before_it_is_cut():
    samples = tokenize_texts((Text(1, "abc"),), ChatTokenizer(), vocab_size=257, chat_template=True, max_length=8)
    assert (bytes(samples.samples[0].ids), samples.chat_template) == (b"<user>ab", True)
    assert not tokenize_texts((Text(1, "abc"),), ChatTokenizer(), vocab_size=257).chat_template
    with pytest.raises(InputError, match="the tokenizer of m has no chat template; leave `chat_template` out"):
        tokenize("abc", chat_template=True, model_name="m")


def test_a_chat_template_that_fails_is_one_line(model_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.chat_template = "{{ raise_exception('only a system may speak') }}"
    with pytest.raises(ModelError, match="chat template fails: only a system may speak"):
        tokenize_texts((Text(1, "abc"),), tokenizer, vocab_size=257, chat_template=True)


def test_another_models_tokenizer_and_none():
    with pytest.raises(ModelError, match="gives id 256, the model has a vocabulary of 200"):
        tokenize("abc", vocab_size=200)
    with pytest.raises(ModelError, match="has no tokenizer"):
        tokenize_texts((Text(1, "a"),), None, vocab_size=3)


def test_json_escapes_are_text(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "ö\n😀"}))
    ((text,), _) = read_texts(path)
    assert text.text == "ö\n😀"


def test_texts_that_are_too_large_are_skipped_and_named_with_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("keepmap.kv.data.texts.LARGEST_TEXT", 30)
    path = write(tmp_path / "data.jsonl", '{"text": "short"}\n{"text": "' + "x" * 100 + '"}\n{"text": "last"}\n')
    texts, skipped = read_texts(path)
    assert [(text.line, text.text) for text in texts] == [(1, "short"), (3, "last")]
    assert [str(line) for line in skipped] == ["line 2 has more than 4 MiB"]
    message = "line 2 of .* has more than 4 MiB; the most that is read as one text; split it into several$"
    with pytest.raises(InputError, match=message):
        read_texts(path, strict=True)
    with pytest.raises(InputError, match="long.txt has more than 4 MiB"):
        read_texts(write(tmp_path / "long.txt", "x" * 31))
    assert read_texts(write(tmp_path / "fits.txt", "x" * 30))[0][0].text == "x" * 30


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["FIFO", "FIFO.txt"])
def test_a_fifo_is_no_data(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(
        InputError, match="it is a FIFO, not a file|^[^ ]*FIFO.txt is a FIFO, not a file; give .txt or .md files"
    ):
        read_texts(tmp_path / name)


def test_a_path_that_cannot_be():
    with pytest.raises(InputError, match="^expected `data_path` to be a path, got ''$"):
        read_texts("")
    with pytest.raises(InputError, match="^expected `data_path` to be a path, got .*: File name too long$"):
        read_texts("x" * 300)
