"""A small language model, and what it attends to in one text."""

import pytest

import keepmap
from keepmap.attention.profile import AttentionProfile
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens


@pytest.fixture(scope="package")
def language_model() -> LanguageModel:
    """Random weights: two layers of four heads."""
    return load_language_model(build("llama"))


@pytest.fixture(scope="package")
def profile(language_model: LanguageModel) -> AttentionProfile:
    """Of 60 tokens."""
    return keepmap.profile_attention(language_model, tokens(60))
