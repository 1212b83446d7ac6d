"""Texts that come from Python, however they are given: one text or a sequence of texts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy
from torch import Tensor

from keepmap.core.arguments import as_string
from keepmap.errors import InputError, kind_of
from keepmap.kv.data.texts import Text
from keepmap.kv.passes import as_tokens, is_encoding
from keepmap.language_model import LanguageModel

__all__ = ["each_text", "texts_of"]


def texts_of(language_model: LanguageModel, texts: Any) -> tuple[Text, ...]:
    """One text or several, of any kind that `as_tokens` takes, as `tokenize_texts` takes them.

    Raises:
        InputError: no text, or one that is none; names it.
    """
    # How long a text may be is judged once it is cut.
    any_length = replace(language_model, max_positions=None)
    result = []
    for index, text in enumerate(each_text(texts)):
        place = f"texts[{index}]"
        if isinstance(text, str):
            result.append(Text(index + 1, as_string("texts", text), place))
            continue
        try:
            ids = as_tokens(any_length, text, "texts")
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        result.append(Text(index + 1, tuple(ids.tolist()), place))
    return tuple(result)


def each_text(texts: Any) -> list[Any]:
    """One text as a list of one; a sequence of texts, or a batch of them as a tensor or from a tokenizer, one by one.

    >>> each_text("a text"), each_text([5, 6, 7]), each_text(["a text", [5, 6, 7]])
    (['a text'], [[5, 6, 7]], ['a text', [5, 6, 7]])

    Raises:
        InputError: no text at all, or nothing that can be one.
    """
    match texts:
        case str():
            return [texts]
        case Mapping():
            return _rows_of(texts)
        case Tensor() | numpy.ndarray():
            return list(texts) if texts.ndim == 2 and texts.shape[0] != 1 else [texts]
        case _ if is_encoding(texts):
            return [texts]
        case Path() | bytes():
            pass
        case Iterable():
            parts = list(texts)
            if not parts:
                raise InputError("expected `texts` to be one text or more, got none")
            return [parts] if all(isinstance(part, Integral) for part in parts) else parts
        case _:
            pass
    raise InputError(
        f"expected `texts` to be a text or a sequence of texts (strings or token ids), got {kind_of(texts)}; "
        "a data file is read by compare_compression_methods"
    )


def _rows_of(batch: Mapping[str, Any]) -> list[Any]:
    """The texts of what a tokenizer gave for one text or for several."""
    ids: Any = batch.get("input_ids")
    is_batch = ids is not None and len(ids) > 0 and not isinstance(ids[0], Integral) and numpy.ndim(ids[0]) == 1
    if not is_batch or len(ids) == 1:
        return [batch]
    masks: Any = batch.get("attention_mask")
    return [{"input_ids": row} | ({} if masks is None else {"attention_mask": masks[i]}) for i, row in enumerate(ids)]
