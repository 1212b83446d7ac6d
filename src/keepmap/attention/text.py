"""One text for a language model, in whatever form a caller has it."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.core.arguments import as_string
from keepmap.errors import InputError, counted, kind_of
from keepmap.language_model import LanguageModel

__all__ = ["as_tokens", "is_encoding", "one_text"]


def as_tokens(language_model: LanguageModel, inputs: Any, parameter: str = "inputs") -> Int[Tensor, " N"]:
    """The tokens of a text given as a string, as token ids, or as a tokenizer gives them; without padding.

    Args:
        parameter: whose value it is, for the messages.

    >>> from keepmap.language_model import load_language_model
    >>> as_tokens(load_language_model("tiny"), [5, 6, 7])
    tensor([5, 6, 7])

    Raises:
        InputError: not one text, an empty one, a string for a model without tokenizer, or padding inside the text.
    """
    if isinstance(inputs, str):
        inputs = as_string(parameter, inputs)
        if language_model.tokenizer is None:
            raise InputError(
                f'model "{language_model.name}" has no tokenizer for a string; give token ids, or load the model with '
                "its tokenizer by keepmap.load_language_model"
            )
        ids = torch.tensor(language_model.tokenizer.encode(inputs), dtype=torch.int64)
        return one_text(ids, language_model, parameter)
    if is_encoding(inputs):
        inputs = {"input_ids": inputs.ids, "attention_mask": inputs.attention_mask}
    if not isinstance(inputs, Mapping):
        return one_text(inputs, language_model, parameter)
    if "input_ids" not in inputs:
        raise InputError(
            f"expected `{parameter}` to hold input_ids, got a mapping with {', '.join(map(str, inputs)) or 'nothing'}"
        )
    tokens, mask = _tensor(inputs["input_ids"], parameter), inputs.get("attention_mask")
    if mask is None or (tokens.ndim == 2 and tokens.shape[0] > 1):
        return one_text(tokens, language_model, parameter)
    real = _tensor(mask, parameter).bool()
    if real.shape != tokens.shape or (real.ndim == 2 and real.shape[0] != 1) or real.ndim > 2:
        raise InputError(
            f"expected `{parameter}` to be one text, got input_ids of {tuple(tokens.shape)} and an attention_mask of "
            f"{tuple(real.shape)}"
        )
    real, tokens = real.flatten(), tokens.flatten()
    where = real.nonzero()[:, 0]
    if len(where) and int(where[-1] - where[0]) + 1 != len(where):
        raise InputError(
            "the attention_mask hides tokens inside the text; only padding before or after it is supported"
        )
    return one_text(tokens[real], language_model, parameter)


def is_encoding(value: object) -> bool:
    """Whether it is what the `encode` of a tokenizer of the tokenizers library gives: one text, with its mask."""
    tokenizers = sys.modules.get("tokenizers")  # who has one has imported it
    return tokenizers is not None and isinstance(value, tokenizers.Encoding)


def one_text(input_ids: Any, language_model: LanguageModel, parameter: str = "inputs") -> Int[Tensor, " N"]:
    """The tokens of one text, [N] or [1, N], as int64 on the model's device.

    Raises:
        InputError: not one text, an empty one, one that is too long, ids that are not integers, or that the model does
            not have.
    """
    tokens = _tensor(input_ids, parameter)
    if tokens.ndim == 2 and tokens.shape[0] == 1:
        tokens = tokens[0]
    if tokens.ndim == 2 and tokens.shape[0] > 1:
        raise _several(parameter, tokens.shape[0])
    if tokens.numel() == 0:
        raise InputError(f"expected `{parameter}` to be a text of one token or more, got none")
    if tokens.ndim != 1:
        raise InputError(
            f"expected `{parameter}` to be the tokens of one text, [N] or [1, N], got {tuple(tokens.shape)}"
        )
    if tokens.dtype == torch.bool or tokens.is_floating_point() or tokens.is_complex():
        dtype = str(tokens.dtype).removeprefix("torch.")
        raise InputError(f"expected `{parameter}` to be token ids, which are integers, got numbers of dtype {dtype}")
    tokens = tokens.to(torch.int64)
    most = language_model.max_positions
    if most is not None and tokens.shape[0] > most:
        raise InputError(
            f'expected `{parameter}` to be at most {most} tokens, which model "{language_model.name}" takes, got '
            f"{tokens.shape[0]}; give the first {most} of its token ids"
        )
    if int(tokens.min()) < 0 or int(tokens.max()) >= language_model.vocab_size:
        raise InputError(
            f"expected `{parameter}` to be token ids in 0..{language_model.vocab_size - 1}, which the model has, got "
            f"{int(tokens.min())}..{int(tokens.max())}"
        )
    return tokens.to(language_model.device)


def _several(parameter: str, n: int) -> InputError:
    return InputError(
        f"expected `{parameter}` to be one text, got the tokens of {counted(n, 'text')}; give one of them"
    )


def _tensor(numbers: Any, parameter: str) -> Tensor:
    if isinstance(numbers, list | tuple) and numbers and all(isinstance(part, str) for part in numbers):
        raise InputError(
            f"expected `{parameter}` to be one text, got {kind_of(numbers)} of {counted(len(numbers), 'string')}; give "
            "one of them"
        )
    if (
        isinstance(numbers, list | tuple)
        and len(numbers) > 1
        and all(isinstance(part, list | tuple) for part in numbers)
    ):
        raise _several(parameter, len(numbers))
    try:
        # Arrays are copied: torch warns of read-only ones, and takes no reversed ones.
        tensor = torch.from_numpy(np.array(numbers)) if isinstance(numbers, np.ndarray) else torch.as_tensor(numbers)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"expected `{parameter}` to be one text (a string, token ids, a tokenizer's output), got {kind_of(numbers)}"
        ) from None
    if tensor.is_meta or tensor.is_nested or tensor.layout != torch.strided:
        kind = "one of the device meta, without numbers" if tensor.is_meta else "a sparse or nested one"
        raise InputError(f"expected `{parameter}` to be a plain tensor of token ids, got {kind}")
    return tensor
