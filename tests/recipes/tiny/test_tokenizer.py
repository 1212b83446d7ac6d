"""The tokenizer: any text comes back, digits stand alone, the probes' words are one token each."""

from tokenizers import Tokenizer

from keepmap.kv.data.facts import WORDS
from keepmap.recipes.tiny.tokenizer import END_OF_TEXT, train_tokenizer, wrap_tokenizer


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    """What the tokens of a text are of it."""
    return [text[start:end] for start, end in tokenizer.encode(text).offsets]


def test_it_has_as_many_tokens_as_were_wanted() -> None:
    prose = " ".join(f"{first}{second}{third}" for first in "abcdefgh" for second in "ijkl" for third in "mnopqrst")
    assert [train_tokenizer([prose], size).get_vocab_size() for size in (330, 400)] == [330, 400]
    # 257 of bytes and the end of text, and the probes' words: a text without pairs adds none.
    assert train_tokenizer(["a"], 400).get_vocab_size() == 257 + len(WORDS)


def test_any_text_comes_back(bpe: Tokenizer) -> None:
    text = "Hällo wörld \N{EM DASH} \u4e2d\u6587\n\n    def f(x):\t# 2024\r\n  \x00 end  "
    assert bpe.decode(bpe.encode(text).ids) == text


def test_digits_stand_alone_and_words_of_the_probes_are_one_token(bpe: Tokenizer) -> None:
    assert pieces(bpe, "x48 21") == ["x", "4", "8", " ", "2", "1"]
    for word in WORDS:
        assert len(bpe.encode(f" {word}").ids) == 1


def test_a_run_of_blanks_leaves_one_to_the_word(bpe: Tokenizer) -> None:
    assert pieces(bpe, "   nothing") == [" ", " ", " nothing"]


def test_as_hugging_faces_it_adds_nothing_to_a_text(bpe: Tokenizer) -> None:
    wrapped = wrap_tokenizer(bpe, 77)
    text = " The code of river is 4821 ."
    assert wrapped(text)["input_ids"] == bpe.encode(text).ids and wrapped.decode(wrapped(text)["input_ids"]) == text
    assert wrapped.model_max_length == 77 and len(wrapped) == bpe.get_vocab_size()
    assert {wrapped.bos_token, wrapped.eos_token, wrapped.pad_token} == {END_OF_TEXT}
    assert wrapped.eos_token_id == 0
