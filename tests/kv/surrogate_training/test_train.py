"""Training as a whole: it learns, goes on to the same bytes wherever it was killed, and refuses what cannot be."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

import keepmap
from keepmap.core.runs.listing import runs_under
from keepmap.errors import InputError, ModelError
from keepmap.kv.data.corpus import training_topics
from keepmap.kv.surrogate_training import state
from keepmap.kv.surrogate_training.linear import PENALTY
from keepmap.kv.surrogate_training.targets import repeat_context, score_positions
from keepmap.kv.surrogate_training.train import Training, open_training, train_surrogate
from keepmap.language_model import load_language_model
from tests.kv.surrogate_training.texts import Letters, random_llama
from tests.reference.surrogates import ridge

TEXTS = [f"{number}: the {word} is the {number % 3}rd of the words. " * 2 for number, word in enumerate("abcdefgh")]
OPTIONS = {
    "linear": {"kind": "linear", "positions_per_text": 30, "held_out": 0.25},
    "mlp": {"kind": "mlp", "positions_per_text": 30, "held_out": 0.25, "hidden_dim": 5, "epochs": 3},
}


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def model():
    return load_language_model(random_llama(), Letters())


@pytest.fixture
def saves_at_once(monkeypatch):
    monkeypatch.setattr(state, "SAVE_SECONDS", 0.0)


STEPS = {"linear": 6 + 2, "mlp": 6 + 3 + 2}
"""Texts to read, epochs, texts to judge."""


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_surrogate_of_tiny_predicts_what_it_has_not_seen():
    prose = ["\n\n".join(pieces)[:2500] for pieces in training_topics().values() if sum(map(len, pieces)) > 2500][:20]
    trained = train_surrogate("tiny", prose, max_length=256)
    assert trained.explained.shape == (2, 4) and (trained.n_texts, trained.n_held_out_texts) == (18, 2)
    assert trained.n_positions == 18 * 256
    assert trained.mean > 0.3
    worse = train_surrogate("tiny", prose[:4], max_length=64)
    assert worse.mean < trained.mean
    text = prose[-1][:1500]
    costs = [keepmap.evict("tiny", text, method, density=0.2).damage().delta for method in (trained.method, "random")]
    assert costs[0] < costs[1]


def test_the_linear_one_is_the_least_squares_over_the_texts_that_are_not_held_out(model):
    trained = train_surrogate(model, TEXTS, held_out=TEXTS[6:])
    assert trained.n_texts == 8 and trained.n_held_out_texts == 2
    scored = [score_positions(model, repeat_context(Letters(), text)) for text in TEXTS]
    inputs, scores = (torch.cat([getattr(part, name) for part in scored]) for name in ("inputs", "scores"))
    for layer, linear in enumerate(trained.surrogate.layers):
        weight, bias = ridge(inputs[:, layer], scores[:, layer], PENALTY)
        torch.testing.assert_close(linear.weight.double(), weight, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(linear.bias.double(), bias, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_killed_run_goes_on_to_the_same_bytes(model, tmp_path, saves_at_once, kind):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = train_surrogate(model, TEXTS, out=whole, **OPTIONS[kind])
    starts, states = [], []
    for after in (1, 2, 2, 4, 3):
        shares = []

        def kill(share, shares=shares, after=after):
            shares.append(share)
            if len(shares) == after:
                raise Killed

        with pytest.raises(Killed):
            train_surrogate(model, TEXTS, out=killed, progress=kill, **OPTIONS[kind])
        starts.append(shares[0])
        states.append(runs_under(killed)[0].state)
    assert starts == sorted(starts)
    assert states == [f"stopped at {n} of {STEPS[kind]}" for n in (0, 1, 2, 5, 6 if kind == "linear" else 7)]
    shares = []
    trained = train_surrogate(model, TEXTS, out=killed, progress=shares.append, **OPTIONS[kind])
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1) and len(shares) < 12
    assert contents(killed) == contents(whole)
    assert set(contents(whole)) == {".lock", "config.json", "explained_variance.json", "model.safetensors", "run.json"}
    assert repr(trained) == repr(expected) and trained.folder == killed
    assert load_file(whole / "model.safetensors").keys() == trained.surrogate.state_dict().keys()


def test_what_is_finished_is_read_and_not_done_again(model, tmp_path, monkeypatch):
    first = train_surrogate(model, TEXTS, out=tmp_path, **OPTIONS["linear"])
    monkeypatch.setattr("keepmap.kv.surrogate_training.train.score_positions", None)
    again = train_surrogate(model, TEXTS, out=tmp_path, **OPTIONS["linear"])
    assert repr(again) == repr(first)
    assert json.loads((tmp_path / "run.json").read_text())["options"]["held_out"] == 2
    monkeypatch.undo()
    for name in ("config.json", "model.safetensors"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_text("mine")
        with pytest.raises(InputError, match=f"{name} is damaged or not keepmap's; give `overwrite`"):
            train_surrogate(model, TEXTS, out=tmp_path, **OPTIONS["linear"])
        train_surrogate(model, TEXTS, out=tmp_path, overwrite=True, **OPTIONS["linear"])
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "`seed` is 0 there and 1 here; give `overwrite` to replace it, or another `out`"),
        ({"kind": "mlp"}, "`kind` is linear there and mlp here"),
        ({"max_length": 20}, "`max_length` is 1250 there and 20 here"),
        ({"texts": [*TEXTS[:-1], "another text"]}, "the data has changed"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(model, tmp_path, changes, message):
    train_surrogate(model, TEXTS, out=tmp_path, **OPTIONS["linear"])
    before = contents(tmp_path)
    options = OPTIONS["linear"] | {"texts": TEXTS} | changes
    texts = options.pop("texts")
    with pytest.raises(InputError, match=re.escape(f"holds another run: {message}")):
        train_surrogate(model, texts, out=tmp_path, **options)
    assert contents(tmp_path) == before
    replaced = train_surrogate(model, texts, out=tmp_path, overwrite=True, **options)
    assert repr(replaced) == repr(train_surrogate(model, texts, **options))


def test_another_model_in_the_same_folder_is_refused(model, tmp_path):
    train_surrogate(model, TEXTS, out=tmp_path, **OPTIONS["linear"])
    other = random_llama()
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight[0, 0] += 1
    with pytest.raises(InputError, match="holds another run: the model has changed; give `overwrite` to"):
        train_surrogate(load_language_model(other, Letters()), TEXTS, out=tmp_path, **OPTIONS["linear"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cnn"}, 'unknown `kind` "cnn"'),
        ({"epochs": 3}, "`epochs` is for an MLP"),
        ({"hidden_dim": 3}, "`hidden_dim` is for an MLP"),
        ({"kind": "mlp", "epochs": 0}, "expected `epochs` to be an integer of 1 or more, got 0"),
        ({"max_length": 1}, "expected `max_length` to be an integer of 2 or more, got 1"),
        ({"positions_per_text": 0}, "expected `positions_per_text` to be an integer of 1 or more"),
        ({"held_out": 1.5}, "expected `held_out` to be a number in [0, 1], got 1.5"),
        ({"texts": ["only this"]}, "of 2 tokens or more; got 1 and 0"),
        ({"texts": ["a", "b", "only this"]}, "of 2 tokens or more; got 1 and 0"),
        ({"held_out": ["x"]}, "of 2 tokens or more; got 8 and 0"),
    ],
)
def test_what_cannot_be_is_one_line(model, options, message):
    options = {"texts": TEXTS} | options
    with pytest.raises(InputError) as error:
        train_surrogate(model, options.pop("texts"), **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_model_without_a_tokenizer_or_with_anothers_is_refused(model):
    with pytest.raises(ModelError, match="LlamaForCausalLM has no tokenizer"):
        train_surrogate(load_language_model(random_llama()), [[5, 6, 7], [7, 8, 9]])

    class Wide(Letters):
        def __call__(self, text, **options):
            return {"input_ids": [96 for _ in text] or [1]}

    with pytest.raises(ModelError, match="gives id 96, LlamaForCausalLM has a vocabulary of 96"):
        train_surrogate(load_language_model(random_llama(), Wide()), TEXTS)


def test_texts_may_be_tokens_and_short_ones_are_named(model):
    texts = [[5, 6, 7, 8, 9], "x", "some words", [9, 8, 7, 6]]
    training = Training(
        model,
        [keepmap.kv.data.texts.Text(number, text if isinstance(text, str) else tuple(text))
         for number, text in enumerate(texts, start=1)],
        kind="linear", max_length=4, positions_per_text=2, held_out=0.4, hidden_dim=None, epochs=None, seed=0,
    )  # fmt: skip
    assert [str(skipped) for skipped in training.skipped] == ["line 2 has fewer than 2 tokens"]
    assert sorted(len(text.context) for text in [*training.train, *training.held_out]) == [4, 4, 4]
    assert len(training.held_out) == 1


def test_a_file_is_opened_with_its_model(model_folder, data_file):
    training = open_training(
        data_file, "text", 3, model_folder, device="cpu", dtype="float64",
        kind="linear", max_length=50, positions_per_text=2, held_out=0.1, hidden_dim=None, epochs=None, seed=0,
    )  # fmt: skip
    assert (len(training.train), len(training.held_out), training.options()["dtype"]) == (2, 1, "float64")
