"""A tokenizer of at most 512 tokens, trained on a few made-up documents."""

import pytest
from tokenizers import Tokenizer

from keepmap.recipes.tiny.tokenizer import train_tokenizer
from tests.recipes.tiny.documents import DOCUMENTS


@pytest.fixture(scope="session")
def bpe() -> Tokenizer:
    return train_tokenizer(["\n\n".join(pieces) for pieces in DOCUMENTS], 512)
