"""Hashes of what a comparison reads beside its options: weights, tokens, and the kind of device."""

from collections.abc import Iterable, Mapping

import torch

from keepmap.core.runs.hashes import hash_of_lines, hash_of_tensors
from keepmap.kv.data.texts import TextSample
from keepmap.kv.method import Method
from keepmap.language_model import LanguageModel

__all__ = ["model_hashes", "tokens_hash"]


def model_hashes(language_model: LanguageModel, methods: Mapping[str, Method]) -> dict[str, str]:
    """By what it is of: "model" is the model with the surrogates of methods, "device" its kind of device."""
    model = dict(language_model.model.state_dict())
    for key, method in methods.items():
        for value in vars(method).values():
            owner = getattr(value, "__self__", value)
            if isinstance(owner, torch.nn.Module):
                model |= {f"{key}: {name}": tensor for name, tensor in owner.state_dict().items()}
    return {"model": hash_of_tensors(model), "device": language_model.device.type}


def tokens_hash(samples: Iterable[TextSample]) -> dict[str, str]:
    """Of the tokens that the samples are, as "tokenizer"."""
    return {"tokenizer": hash_of_lines(sample.ids for sample in samples)}
