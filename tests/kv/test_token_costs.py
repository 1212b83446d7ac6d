"""Tokens and what they cost, written and read back; damage is one line."""

from types import SimpleNamespace

import numpy as np
import pytest

from keepmap.core.storage.tensors import tensors_file
from keepmap.errors import InputError
from keepmap.kv.token_costs import TokenCosts, pieces_of

HOSTILE = ("</script>", "\u202e", "\udcff", "", "\x00\n", "🙂", "x" * 100_000)


def test_what_is_read_is_what_was_written(tmp_path):
    costs = TokenCosts(np.arange(6, dtype=np.float32), -np.ones(6, np.float32), HOSTILE)
    for path in (tmp_path / "a", tmp_path / "b"):
        costs.save(path)
    read = TokenCosts.load(tmp_path / "a")
    assert (read.nll.tolist(), read.kl.tolist(), read.pieces) == ([0, 1, 2, 3, 4, 5], [-1] * 6, HOSTILE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_none_is_one_line(tmp_path):
    path = tmp_path / "tokens.safetensors"
    with pytest.raises(InputError, match="tokens.safetensors does not say what tokens cost"):
        TokenCosts.load(path)
    TokenCosts(np.zeros(1, np.float32), np.zeros(1, np.float32), ("a", "bc")).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"d")
    with pytest.raises(InputError, match="its checksum is not that of what it holds$"):
        TokenCosts.load(path)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("nll", np.zeros(2, np.float32), "its costs are no two rows of numbers"),
        ("nll", np.zeros(1, np.float64), "its costs are no two rows of numbers"),
        ("text", np.zeros(3, np.int64), "its text is no bytes with the end of each token"),
        ("ends", np.array([1, 4]), "the ends of its tokens are not those of its text"),
        ("ends", np.array([4, 3]), "the ends of its tokens are not those of its text"),
        ("ends", None, "it has no 'ends'"),
    ],
)
def test_a_file_of_other_parts_is_refused(name, value, reason, tmp_path):
    import torch

    parts = {"nll": np.zeros(1, np.float32), "kl": np.zeros(1, np.float32)}
    parts |= {"text": np.zeros(3, np.uint8), "ends": np.array([1, 3]), name: value}
    tensors = {key: torch.from_numpy(part) for key, part in parts.items() if part is not None}
    path = tmp_path / "tokens.safetensors"
    path.write_bytes(tensors_file(tensors, {"format": "keepmap-tokens/1", "about": "{}"}))
    with pytest.raises(InputError, match=reason):
        TokenCosts.load(path)


def test_the_space_before_a_word_is_part_of_it():
    words = {1: "word", 2: " word", 3: "s"}
    marked = {1: "\u2581word", 2: "\u2581word", 3: "s"}
    tokenizer = SimpleNamespace(decode=lambda ids, **_: words[ids[0]], convert_ids_to_tokens=marked.get)
    assert pieces_of(tokenizer, [1, 2, 3, 1]) == (" word", " word", "s", " word")


def test_a_part_of_a_letter_is_its_bytes():
    marks = {1: "\u00e2\u0122", 2: "<0xE2>", 3: "\u2581?"}
    tokenizer = SimpleNamespace(decode=lambda ids, **_: "\ufffd", convert_ids_to_tokens=marks.get)
    assert pieces_of(tokenizer, [1, 2, 3]) == ("\\xe2\\x80", "\\xe2", "\ufffd")
