"""What the predictions of a text's tokens cost, one by one, and the text of each token: for whoever shows them.

P predicted tokens, all of a text's N but the first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from keepmap.core.storage.tensors import read_labelled, write_labelled
from keepmap.errors import InputError

__all__ = ["TokenCosts", "pieces_of"]

FORMAT = "keepmap-tokens/1"
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_SEEN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_BYTES = {chr(byte): byte for byte in _SEEN}
"""The letters of GPT-2's byte-level tokens: bytes that can be seen are themselves, the others come from 256 on."""
_BYTES |= {chr(256 + at): byte for at, byte in enumerate(byte for byte in range(256) if byte not in _SEEN)}


@dataclass(frozen=True, eq=False)
class TokenCosts:
    """What one method's predictions of a text cost, token by token.

    Attributes:
        nll, kl: nats of each predicted token: against the text, and of the full cache's predictions to these.
        pieces: the text of each of the N tokens; of the pass without eviction alone, else none.

    >>> costs = TokenCosts(np.float32([1.5, 0.25]), np.zeros(2, np.float32), ("The", " end", "."))
    >>> costs.save(Path("tokens.safetensors"))
    >>> TokenCosts.load(Path("tokens.safetensors")).pieces
    ('The', ' end', '.')
    """

    nll: Float32[np.ndarray, " P"]
    kl: Float32[np.ndarray, " P"]
    pieces: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write them as one safetensors file, whole or not at all, over whatever is there: a run's folder is its own.

        Raises:
            OutputError: the path cannot be written.
        """
        texts = [piece.encode("utf-8", "surrogatepass") for piece in self.pieces]
        tensors = {
            "nll": torch.from_numpy(self.nll.copy()),
            "kl": torch.from_numpy(self.kl.copy()),
            "text": torch.tensor(list(b"".join(texts)), dtype=torch.uint8),
            "ends": torch.tensor([len(text) for text in texts], dtype=torch.int64).cumsum(0),
        }
        write_labelled(path, FORMAT, {}, tensors, kind="what tokens cost", overwrite=True)

    @classmethod
    def load(cls, path: Path) -> "TokenCosts":
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not one of these.
        """
        try:
            _, tensors = read_labelled(path, FORMAT)
            nll, kl = tensors["nll"], tensors["kl"]
            if nll.ndim != 1 or nll.shape != kl.shape or {nll.dtype, kl.dtype} != {torch.float32}:
                raise ValueError("its costs are no two rows of numbers")
            return cls(nll.numpy(), kl.numpy(), _pieces(tensors["text"], tensors["ends"]))
        except KeyError as error:
            raise InputError(f"{path} does not say what tokens cost, or is damaged: it has no {error}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} does not say what tokens cost, or is damaged: {error}") from None


def pieces_of(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token by itself, with the space before it; without a tokenizer, its number.

    >>> pieces_of(None, [5, 6])
    ('#5', '#6')
    """
    if tokenizer is None:
        return tuple(f"#{token}" for token in ids)
    texts = {token: _piece(tokenizer, token) for token in set(ids)}
    return tuple(texts[token] for token in ids)


def _piece(tokenizer: Any, token: int) -> str:
    text: str = tokenizer.decode([token], clean_up_tokenization_spaces=False)
    mark = str(tokenizer.convert_ids_to_tokens(token) or "")
    if "\ufffd" in text:
        return _bytes_shown(mark) or text
    # Tokenizers of words that begin with a mark take the space of the first word away.
    return f" {text}" if mark.startswith("\u2581") and not text.startswith(" ") else text


def _bytes_shown(mark: str) -> str:
    r"""A part of a letter's UTF-8 as its bytes, \xe2\x80, from how byte-level tokenizers write it; else nothing."""
    if match := _BYTE.fullmatch(mark):
        return f"\\x{match[1].lower()}"
    return "".join(f"\\x{_BYTES[letter]:02x}" for letter in mark) if all(letter in _BYTES for letter in mark) else ""


def _pieces(text: Tensor, ends: Tensor) -> tuple[str, ...]:
    if text.ndim != 1 or text.dtype != torch.uint8 or ends.ndim != 1 or ends.dtype != torch.int64:
        raise ValueError("its text is no bytes with the end of each token")
    edges = [0, *ends.tolist()]
    if edges[-1] != len(text) or any(end < start for start, end in zip(edges[:-1], edges[1:], strict=True)):
        raise ValueError("the ends of its tokens are not those of its text")
    content = text.numpy().tobytes()
    spans = zip(edges[:-1], edges[1:], strict=True)
    return tuple(content[start:end].decode("utf-8", "surrogatepass") for start, end in spans)
