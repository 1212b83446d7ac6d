"""KVzap surrogates: the layout of the published checkpoints, what is refused, and what they are trained on."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

from keepmap.errors import ModelError
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig, load_surrogate
from keepmap.kv.surrogate_training import (
    FLOOR,
    ScoredPositions,
    collect_positions,
    explained_variance,
    repeat_context,
    train_linear,
    train_mlp,
)
from keepmap.language_model import EMBEDDED

COVERS = ("keepmap.kv.surrogate_training",)


SIZES = {"linear": SurrogateConfig(8, 2, 3), "mlp": SurrogateConfig(8, 2, 3, hidden_dim=5)}


class Letters:
    """A tokenizer of letters, with a token before every text, or with a chat template."""

    def __init__(self, chat_template=None):
        self.chat_template = chat_template

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [1] * add_special_tokens + [ord(letter) % 90 + 2 for letter in text]}

    def apply_chat_template(self, turns, tokenize):
        return "".join(f"[{turn['role']}]{turn['content']}[end]" for turn in turns)


def random_llama(**sizes):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, **sizes,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("kind", SIZES)
def test_saved_and_loaded_again(tmp_path, kind):
    surrogate = KVzapSurrogate(SIZES[kind])
    surrogate.save(tmp_path)
    loaded = load_surrogate(tmp_path)
    hidden = torch.randn(7, 3, 8)
    assert loaded.config == surrogate.config
    assert torch.equal(loaded(hidden), surrogate(hidden))
    assert torch.equal(loaded.score(1, hidden[:, 1]), surrogate(hidden)[:, 1])
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert load_surrogate(str(tmp_path), dtype=torch.bfloat16).score(0, hidden[:, 0]).dtype == torch.bfloat16


@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_a_checkpoint_of_nvidia_loads(tmp_path, hidden_dim):
    config = {
        "architectures": ["KVzapModel"], "dtype": "bfloat16", "hidden_dim": hidden_dim, "input_dim": 8,
        "model_type": "kvzap", "n_modules": 3, "output_dim": 2, "transformers_version": "4.57.1",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {}
    for layer in range(3):
        if hidden_dim is None:
            shapes = {"weight": (2, 8), "bias": (2,)}
        else:
            shapes = {"0.weight": (5, 8), "0.bias": (5,), "2.weight": (2, 5), "2.bias": (2,)}
        tensors |= {f"layers.{layer}.{name}": torch.randn(shape).bfloat16() for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = load_surrogate(tmp_path)
    weight = tensors["layers.1.weight" if hidden_dim is None else "layers.1.2.weight"]
    assert any(torch.equal(parameter, weight.float()) for parameter in loaded.parameters())
    assert loaded.config.kind == ("linear" if hidden_dim is None else "mlp")
    assert loaded(torch.randn(4, 3, 8)).shape == (4, 3, 2)


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path):
    def refused(match, folder=tmp_path):
        with pytest.raises(ModelError, match=match) as error:
            load_surrogate(folder)
        assert "\n" not in str(error.value)

    refused("is not a folder", tmp_path / "nowhere")
    refused("is not a folder", str(tmp_path / "nowhere"))
    refused("it has no config.json")
    KVzapSurrogate(SIZES["linear"]).save(tmp_path)
    good_config, good_weights = (tmp_path / "config.json").read_text(), (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_text("{")
    refused("not a JSON object")
    (tmp_path / "config.json").write_text("[]")
    refused("not a JSON object")
    (tmp_path / "config.json").write_text(good_config.replace("n_modules", "modules"))
    refused("has no 'n_modules'")
    (tmp_path / "config.json").write_text(good_config.replace('"n_modules": 3', '"n_modules": -3'))
    refused("n_modules is -3")
    (tmp_path / "config.json").write_text(good_config.replace('"input_dim": 8', '"input_dim": 9'))
    refused(r"layers.0.weight should be \[2, 9\], found \[2, 8\]")
    (tmp_path / "config.json").write_text(good_config)
    (tmp_path / "model.safetensors").write_bytes(good_weights[:-5])
    refused("damaged")
    (tmp_path / "model.safetensors").write_bytes(b"pickle")
    refused("damaged")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    refused("has no model.safetensors; other formats are not loaded")


def test_a_hub_that_fails_is_said_in_one_line(monkeypatch):
    def fail(name, **options):
        assert name == "nvidia/KVzap-none"
        raise OSError("no such repository\nand a long explanation")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=r"nvidia/KVzap-none .*\(no such repository\)"):
        load_surrogate("nvidia/KVzap-none")


def test_a_hub_repository_loads_like_a_folder(monkeypatch, tmp_path):
    KVzapSurrogate(SIZES["mlp"]).save(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **options: str(tmp_path))
    assert load_surrogate("nvidia/KVzap-some").config == SIZES["mlp"]


def test_sizes_that_do_not_fit_the_model():
    config = random_llama().config
    KVzapSurrogate(SurrogateConfig(32, 2, 2)).require_fit(config)
    with pytest.raises(ModelError, match=r"\(2, 32, 4\), the model \(2, 32, 2\)"):
        KVzapSurrogate(SurrogateConfig(32, 4, 2)).require_fit(config)


def test_the_context_stands_twice():
    for tokenizer in (Letters(), Letters("a template")):
        repetition = repeat_context(tokenizer, "  some words  ", max_tokens=8)
        context = repetition.ids[repetition.context]
        assert context.tolist() == tokenizer("some wor", add_special_tokens=False)["input_ids"]
        assert torch.equal(context, repetition.ids[repetition.repeated])
        assert repetition.repeated.stop == len(repetition.ids)
        assert repetition.repeated.start > repetition.context.stop
    assert repeat_context(Letters(), "words").ids[0] == 1


def test_targets_are_the_papers():
    """Against obvious code: loops over layers, heads, rows and positions."""
    model = random_llama()
    text = "abcdef ghi"
    samples = collect_positions(model, Letters(), [text], positions_per_text=10)
    repetition = repeat_context(Letters(), text)
    model.set_attn_implementation("eager")
    output = model(repetition.ids[None], output_attentions=True, output_hidden_states=True)
    n = len(text)
    expected = torch.zeros(n, 2, 2)
    inputs = torch.zeros(n, 2, 32)
    for index, layer in enumerate(model.model.layers):
        hidden = layer.input_layernorm(output.hidden_states[index])[0]
        values = layer.self_attn.v_proj(hidden).view(-1, 2, 8)
        for i in range(n):
            at = repetition.context.start + i
            inputs[i, index] = hidden[at]
            for head in range(4):
                written = layer.self_attn.o_proj.weight[:, 8 * head : 8 * head + 8] @ values[at, head // 2]
                for j in range(repetition.repeated.start, repetition.repeated.stop):
                    score = output.attentions[index][0, head, j, at] * written.norm() / hidden[j].norm()
                    expected[i, index, head // 2] = max(expected[i, index, head // 2], score)
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples.inputs, inputs[chosen])
    torch.testing.assert_close(samples.scores, expected.clamp_min(FLOOR).log()[chosen])


def test_collecting_leaves_the_model_as_found():
    model = random_llama()
    before = model.config._attn_implementation
    collect_positions(model, Letters(), ["some text"])
    assert model.config._attn_implementation == before
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_known_projections_is_refused():
    model = random_llama()
    for layer in model.model.layers:
        layer.self_attn.other = layer.self_attn.o_proj
        del layer.self_attn.o_proj
    with pytest.raises(ModelError, match="no surrogate for LlamaForCausalLM"):
        collect_positions(model, Letters(), ["some text"])


def test_ridge_finds_a_linear_truth_and_the_mlp_a_bent_one():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4000, 2, 6, generator=generator) + 1
    straight = inputs @ torch.randn(6, 3, generator=generator) - 7
    train, test = ScoredPositions(inputs[:3000], straight[:3000]), ScoredPositions(inputs[3000:], straight[3000:])
    assert explained_variance(train_linear(train), test).min() > 0.9999
    bent = inputs[..., :3].abs() - 7
    train, test = ScoredPositions(inputs[:3000], bent[:3000]), ScoredPositions(inputs[3000:], bent[3000:])
    mlp = train_mlp(train, hidden_dim=64, epochs=40, batch=128)
    assert explained_variance(mlp, test).min() > 0.95
    assert explained_variance(train_linear(train), test).max() < 0.9
    again = train_mlp(train, hidden_dim=64, epochs=40, batch=128)
    assert all(torch.equal(a, b) for a, b in zip(mlp.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_embedded_surrogates_fit_the_embedded_model(kind):
    folder = EMBEDDED["tiny"]
    surrogate = load_surrogate(folder / f"kvzap-{kind}")
    surrogate.require_fit(AutoConfig.from_pretrained(folder))
    assert surrogate.config.kind == kind
    assert set(load_file(folder / f"kvzap-{kind}" / "model.safetensors")) == set(surrogate.state_dict())
