"""The embedded model's recipe, in miniature, and what the model in the package can do."""

import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from keepmap.errors import InputError
from keepmap.kv.data.corpus import is_held_out
from keepmap.kv.data.facts import WORDS
from keepmap.language_model import EMBEDDED
from keepmap.recipes.tiny import batches, evaluate, loop, recipe, tokenizer
from keepmap.recipes.tiny.__main__ import main, make

# The one command in miniature goes through all of them, and the model in the package is what they made.
COVERS = ("keepmap.recipes.tiny.*",)

FOLDER = EMBEDDED["tiny"]
DOCUMENTS = [[f"Paragraph {k} of document {d} says\nthat nothing follows." for k in range(40)] for d in range(4)]
# Its words become tokens, so that facts are as short as with the real tokenizer.
DOCUMENTS.append(["What is the code of this? The code of that is not known. Codes: Again:"] * 20)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER, local_files_only=True).eval()


@pytest.fixture(scope="module")
def reader():
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def bpe():
    return tokenizer.train_tokenizer(["\n\n".join(pieces) for pieces in DOCUMENTS], 512)


class Killed(Exception):
    pass


@pytest.mark.parametrize("dense", [0.0, 1.0])
def test_recall_meets_the_bar(model, reader, dense):
    probes = evaluate.evaluation_probes(reader, 1024, 20, seed=2, dense=dense)
    result = evaluate.measure_recall(model, probes)
    assert result.digits >= 1000
    assert result.full >= 0.95
    assert result.streaming <= 0.25


def test_probes_have_the_length_they_claim(reader):
    assert all(960 <= len(probe.ids) <= 1024 for probe in evaluate.evaluation_probes(reader, 1024, 10, seed=3))


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


def test_the_streaming_mask():
    mask = evaluate.streaming_mask(9, 2, 3, torch.float32)[0, 0]
    for i in range(9):
        for j in range(9):
            assert (mask[i, j] == 0) == (j <= i and (j < 2 or i - j <= 3))


def test_batches_hold_what_they_claim(bpe):
    stage = recipe.Stage(
        name="all",
        steps=1,
        batch=8,
        length=256,
        shares=recipe.Shares(0.25, 0.25, 0.5),
        rate=(1e-3, 1e-3),
        facts=4,
        prose_weight=1.0,
        stretch=100,
    )
    batch = batches.make_batch(0, stage, 3, bpe, DOCUMENTS)
    again = batches.make_batch(0, stage, 3, bpe, DOCUMENTS)
    other = batches.make_batch(0, stage, 4, bpe, DOCUMENTS)
    assert torch.equal(batch.ids, again.ids)
    assert torch.equal(batch.positions, again.positions)
    assert not torch.equal(batch.ids, other.ids)
    assert not (batch.recalled & batch.prose).any()
    assert (batch.positions.diff(dim=1) >= 1).all()
    assert batch.positions.max() < 256 + 100
    for row in range(8):
        assert batch.recalled[row].any()
    for row in range(2, 8):
        recalled = [bpe.id_to_token(token) for token in batch.ids[row][batch.recalled[row]].tolist()]
        assert all(token.isdigit() for token in recalled)
        assert len(recalled) % 4 == 0


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, bpe, monkeypatch):
    plan = recipe.miniature(seed=5)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    expected, _ = loop.train(plan, whole, bpe, DOCUMENTS, lambda progress: None)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def kill_in(stage, step):
        def report(progress):
            if (progress.stage, progress.step) == (stage, step):
                raise Killed

        return report

    for stage, step in (("copy", 3), ("prose", 1), ("prose", 6)):
        with pytest.raises(Killed):
            loop.train(plan, killed, bpe, DOCUMENTS, kill_in(stage, step))
    seen = []
    result, _ = loop.train(plan, killed, bpe, DOCUMENTS, seen.append)
    assert seen[0].step == 6  # the step that was killed before its checkpoint is done again
    for (name, want), have in zip(expected.named_parameters(), result.parameters(), strict=True):
        assert torch.equal(want, have), name
    assert [path.name for path in killed.iterdir()] == ["checkpoint.safetensors"]
    with pytest.raises(InputError, match="another recipe"):
        loop.train(dataclasses.replace(plan, seed=6), killed, bpe, DOCUMENTS, seen.append)


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
    command = [sys.executable, "-m", "keepmap.recipes.tiny", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for words in ("minutes", "95 %", "25 %"):
        assert words in shown
    assert make.__doc__


def test_the_split_of_topics_is_by_name():
    assert [is_held_out(name) for name in ("compound", "types")] == [True, False]
