"""A causal language model: load one, take what people have for one, and say which are refused and why."""

from keepmap.language_model.loading import EMBEDDED, MODEL_NAMES, as_language_model, load_language_model, place_of
from keepmap.language_model.model import LanguageModel
from keepmap.language_model.quiet import quiet_transformers

__all__ = [
    "EMBEDDED",
    "MODEL_NAMES",
    "LanguageModel",
    "as_language_model",
    "load_language_model",
    "place_of",
    "quiet_transformers",
]
