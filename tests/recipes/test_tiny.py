"""The embedded model's recipe, in miniature, and what the model in the package can do."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from keepmap.kv.data.facts import WORDS
from keepmap.language_model import EMBEDDED
from keepmap.recipes.tiny import evaluate
from keepmap.recipes.tiny.__main__ import main, make
from tests.forked import python
from tests.recipes.tiny.documents import DOCUMENTS

FOLDER = EMBEDDED["tiny"]


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER, local_files_only=True).eval()


@pytest.fixture(scope="module")
def reader():
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.mark.parametrize("dense", [0.0, 1.0])
def test_recall_meets_the_bar(model, reader, dense):
    probes = evaluate.evaluation_probes(reader, 1024, 20, seed=2, dense=dense)
    result = evaluate.measure_recall(model, probes)
    assert result.digits >= 1000
    assert result.full >= 0.95
    assert result.streaming <= 0.25


def test_held_out_prose_is_read_better_than_by_letter_frequencies(model, reader):
    nats, bits = evaluate.prose_loss(model, reader)
    assert nats < 2.3
    assert bits < 1.9


def test_the_model_is_small_and_whole(model, reader):
    assert sum(parameter.numel() for parameter in model.parameters()) <= 4_000_000
    assert model.dtype == torch.float32
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings >= 65_536
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 8_000_000
    assert len(reader) == model.config.vocab_size
    assert "python -m keepmap.recipes.tiny --out DIR" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_far_positions_run(model):
    ids = torch.arange(64)[None]
    logits = model(ids, attention_mask=torch.ones_like(ids), position_ids=ids + 65_472).logits
    assert logits.isfinite().all()


def test_the_tokenizer_reads_any_text(reader):
    text = "Hällo wörld — 中文\n\n    def f(x):\t# 2024\r\n  \x00 end  "
    assert reader.decode(reader(text)["input_ids"]) == text
    assert reader.convert_ids_to_tokens(reader("4821")["input_ids"]) == list("4821")
    for word in WORDS:
        assert len(reader(f" {word}")["input_ids"]) == 1


def test_the_one_command_in_miniature(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("keepmap.kv.data.corpus.training_documents", lambda: DOCUMENTS)
    assert main(["--out", str(tmp_path), "--miniature"]) == 0
    folder = tmp_path / "tiny"
    assert f"finished after 0 minutes of training: {folder}" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {path.name for path in FOLDER.iterdir()}
    for kind in ("linear", "mlp"):
        config = json.loads((folder / f"kvzap-{kind}" / "config.json").read_text(encoding="utf-8"))
        assert config["model_type"] == "kvzap"
    AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert set(load_file(folder / "model.safetensors")) <= set(model.state_dict())
    assert main(["--out", str(tmp_path), "--miniature", "--seed", "1"]) == 2
    assert "of another recipe" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("keepmap.recipes.tiny.__main__.make", interrupt)
    assert main(["--out", str(tmp_path)]) == 130
    assert "give the same command again" in capsys.readouterr().err


def test_help_states_time_and_figures():
    shown = python("-m", "keepmap.recipes.tiny", "--help", cwd=Path()).stdout
    for words in ("minutes", "95 %", "25 %"):
        assert words in shown
    assert make.__doc__
