"""The finished folder: whole or not there, readable by everyone, with the figures on its card."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig, load_surrogate
from keepmap.recipes.tiny.evaluate import Recall
from keepmap.recipes.tiny.export import Figures, export, write_card
from keepmap.recipes.tiny.loop import build_model
from keepmap.recipes.tiny.recipe import miniature
from keepmap.recipes.tiny.tokenizer import wrap_tokenizer


def write(folder: Path, bpe: Tokenizer, card: str = "a card") -> torch.nn.Module:
    model = build_model(miniature())
    surrogates = {"linear": KVzapSurrogate(SurrogateConfig(64, 4, 2))}
    save_surrogates = {kind: surrogate.save for kind, surrogate in surrogates.items()}
    export(folder, model, wrap_tokenizer(bpe, 99), save_surrogates, card)
    return model


def test_what_is_written_reads_back(tmp_path: Path, bpe: Tokenizer) -> None:
    model = write(tmp_path / "tiny", bpe)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny", local_files_only=True)
    for (name, value), other in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    assert len(AutoTokenizer.from_pretrained(tmp_path / "tiny", local_files_only=True)) == bpe.get_vocab_size()
    assert load_surrogate(tmp_path / "tiny" / "kvzap-linear").config == SurrogateConfig(64, 4, 2)
    assert (tmp_path / "tiny" / "README.md").read_text(encoding="utf-8") == "a card"
    tensors = list((tmp_path / "tiny").rglob("*.safetensors"))
    assert len(tensors) == 2 and {path.stat().st_mode & 0o777 for path in tensors} == {0o644}


def test_a_former_folder_is_replaced_as_a_whole(tmp_path: Path, bpe: Tokenizer) -> None:
    for name in ("tiny", "tiny.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old.txt").write_text("old")
    write(tmp_path / "tiny", bpe)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"] and not (tmp_path / "tiny" / "old.txt").exists()


def test_an_export_that_fails_leaves_the_former_folder(tmp_path: Path, bpe: Tokenizer) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "old.txt").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "tiny", bpe, card="\ud800")
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["old.txt"]


def test_the_card_has_the_figures() -> None:
    model = build_model(miniature())
    figures = Figures({"prose, 1,024 tokens": Recall(0.987, 0.1, 1234)}, 2.1591, 1.5, {"mlp": (0.76, 0.512, 0.99)})
    card = write_card(model, figures, seed=7, seconds=930.0, python="3.12.1")
    assert "| prose, 1,024 tokens | 98.7% | 10.0% | 1,234 |" in card
    assert "| mlp | 0.76 | 0.51 | 0.99 |" in card
    assert "2.159 nats per token, 1.500 bits per byte" in card
    assert "with seed 7 in 16 minutes" in card and "here Python 3.12.1" in card
    size = sum(parameter.numel() for parameter in model.parameters())
    assert f"A Llama of {size:,} parameters (2 layers, 4 heads of 16, hidden 64, vocabulary\n512)" in card
