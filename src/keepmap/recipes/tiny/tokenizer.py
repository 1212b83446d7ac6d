"""The embedded model's tokenizer: byte-level BPE, digits one by one, the probes' words as single tokens."""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from keepmap.kv.data.facts import WORDS

__all__ = ["train_tokenizer", "wrap_tokenizer"]

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A tokenizer of `vocabulary_size` tokens, or of fewer where the texts have too few pairs to merge; it encodes any
    text.

    Each word of the probes, with the blank before it, is one token: names that are one token make recall learnable
    for a model this small.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # A run of blanks before a word leaves one blank to the word, as in GPT-2; digits stand alone.
            pre_tokenizers.Split(Regex(r"\d| ?[A-Za-z]+|\s+(?=\s)|\s|[^\sA-Za-z\d]+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(WORDS),
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(f" {word}", normalized=False) for word in WORDS])
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer as Hugging Face's; it adds no token of its own to a text."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
