"""Heads as sequences of a fused kernel: the same attention as head by head, whatever the heads hold.

The kernel runs on a GPU alone. Here a slow one stands in for it, which reads its arguments as its documentation says,
and refuses what the kernel does not take.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.decoding import step, varlen
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.cache.rows import Slabs
from keepmap.kv.passes import LayerCall
from keepmap.language_model import load_language_model
from tests.families import build, tokens

HEADS, GROUP, SIZE = 3, 2, 8
calls: list[int] = []


def slow(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    enable_gqa: bool,
    seqused_k: Tensor,
) -> Tensor:
    """The contract of `torch.nn.attention.varlen.varlen_attn`: a sequence's queries see those of its keys in use."""
    calls.append(max_k)
    assert {each.dtype for each in (cu_seq_q, cu_seq_k, seqused_k)} == {torch.int32} and enable_gqa
    assert query.shape[1] % key.shape[1] == 0 and all(each.stride(-1) == 1 for each in (query, key, value))
    assert int(cu_seq_q[-1]) == len(query) and int(cu_seq_k[-1]) == len(key) == len(value)
    assert int(cu_seq_q.diff().max()) == max_q and int(seqused_k.max()) == max_k
    assert bool((seqused_k <= cu_seq_k.diff()).all()) and cu_seq_q[0] == cu_seq_k[0] == 0
    output = torch.empty_like(query)
    for at, used in enumerate(seqused_k.tolist()):
        own, begin = slice(int(cu_seq_q[at]), int(cu_seq_q[at + 1])), int(cu_seq_k[at])
        keys, values = key[begin : begin + used], value[begin : begin + used]
        logits = scale * torch.einsum("qhd,kgd->hqk", query[own].double(), keys.double())
        output[own] = torch.einsum("hqk,kgd->qhd", logits.softmax(dim=-1), values.double()).to(output.dtype)
    return output


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step of a GPU, with the slow kernel; how many rows the fullest head had at each call."""
    calls.clear()
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", slow)
    monkeypatch.setattr(varlen, "is_on_a_gpu", lambda device: True)
    return calls


def layer_call(dtype: torch.dtype = torch.bfloat16, size: int = SIZE, **others: object) -> LayerCall:
    draw = torch.Generator().manual_seed(3)
    call = LayerCall(
        layer=0,
        module=nn.Identity(),
        hidden_states=torch.zeros(1, 4, dtype=dtype),
        queries=torch.randn(HEADS * GROUP, 1, size, generator=draw).to(dtype),
        keys=torch.zeros(HEADS, 1, size, dtype=dtype),
        values=torch.zeros(HEADS, 1, size, dtype=dtype),
        sees_from=torch.zeros(1, dtype=torch.int64),
        scaling=0.4,
        softcap=None,
        sinks=None,
        rotary=None,
    )
    return replace(call, **others)


@settings(max_examples=20)
@given(data=st.data())
def test_every_head_sees_its_own_rows_and_no_others(data: st.DataObject) -> None:
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 9)))
    slabs = Slabs(HEADS, torch.empty(0, SIZE), torch.empty(0, SIZE))
    slabs.append(torch.randn(HEADS, 20, SIZE, generator=draw), torch.randn(HEADS, 20, SIZE, generator=draw))
    slabs.keep([np.arange(data.draw(st.integers(1, 20))) for _ in range(HEADS)])
    slabs.append(torch.randn(HEADS, 1, SIZE, generator=draw), torch.randn(HEADS, 1, SIZE, generator=draw))
    call = layer_call(torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.attention.varlen.varlen_attn", slow)
        output = varlen.attend_slabs(call, slabs)
    for head, (start, count) in enumerate(zip(slabs.starts, slabs.counts, strict=True)):
        keys, values = slabs.keys[start : start + count], slabs.values[start : start + count]
        own = slice(head * GROUP, (head + 1) * GROUP)
        expected = (0.4 * call.queries[own, 0] @ keys.T).softmax(dim=-1) @ values
        torch.testing.assert_close(output[own, 0], expected)


@pytest.mark.parametrize(
    ("method", "rule"),
    [("random", {"threshold": 0.5}), ("h2o", {"density": 0.3}), ("h2o", {"threshold": 0.3})],
    ids=str,
)
def test_a_text_is_read_and_decided_as_by_the_general_step(
    method: str, rule: dict[str, float], fused: list[int]
) -> None:
    language_model = load_language_model(build("llama", torch.bfloat16))
    caches, logits = [], []
    for is_fused in (True, False):
        cache = EvictingCache(language_model, method, **rule, n_sink=2, window=4)
        if is_fused:
            fused.clear()  # of what a new cache asks of the model
        with pytest.MonkeyPatch.context() as patch, torch.no_grad(), evicting(language_model):
            if not is_fused:
                patch.setattr(step, "is_fused", lambda call: False)
            parts = tokens(40)[None].split([30, *[1] * 10], dim=1)
            logits.append(
                torch.cat([language_model.model(part, past_key_values=cache).logits for part in parts], dim=1)
            )
        caches.append(cache)
    assert len(fused) == 10 * language_model.n_layers, "each step of each layer, and nothing of the general ones"
    counts = [layer.held.slabs.counts for layer in caches[0].layers]
    assert "threshold" not in rule or any(len(set(each.tolist())) > 1 for each in counts), "heads are ragged"
    assert torch.equal(caches[0].keep_map().expires, caches[1].keep_map().expires)
    torch.testing.assert_close(logits[0], logits[1], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "others",
    [
        {"dtype": torch.float32},
        {"softcap": 30.0},
        {"sinks": torch.zeros(HEADS * GROUP)},
        {"values": torch.zeros(HEADS, 1, 16, dtype=torch.bfloat16)},
        {"size": 12},
        {"size": 264},
    ],
    ids=lambda others: "_".join(others),
)
def test_what_the_kernel_does_not_take_goes_the_general_way(others: dict[str, object], fused: list[int]) -> None:
    assert varlen.is_fused(layer_call()) and not varlen.is_fused(layer_call(**others))


def test_without_a_gpu_or_with_an_older_kernel_it_goes_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not varlen.is_fused(layer_call()), "the tensors are on the CPU"
    monkeypatch.setattr(varlen, "is_on_a_gpu", lambda device: True)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", lambda query, key, value, scale=None: query)
    assert not varlen.is_fused(layer_call())
    monkeypatch.setitem(__import__("sys").modules, "torch.nn.attention.varlen", None)
    assert not varlen.is_fused(layer_call())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("method", ["random", "h2o", "key_norm"])
@pytest.mark.parametrize("rule", [{"threshold": 0.5}, {"density": 0.3}], ids=str)
def test_on_a_gpu_a_step_is_that_of_the_cpu(method: str, rule: dict[str, float]) -> None:
    logits = []
    for device in ("cpu", "cuda"):
        language_model = load_language_model(build("llama", torch.bfloat16), device=device)
        cache = EvictingCache(language_model, method, **rule, n_sink=2, window=4)
        with torch.no_grad(), evicting(language_model):
            parts = tokens(60).to(device)[None].split([20, *[1] * 40], dim=1)
            logits.append(
                torch.cat([language_model.model(part, past_key_values=cache).logits for part in parts], dim=1)
            )
    on_the_gpu = layer_call(keys=torch.zeros(HEADS, 1, SIZE, dtype=torch.bfloat16, device="cuda"))
    assert varlen.is_fused(on_the_gpu) == (torch.cuda.get_device_capability() >= (8, 0))
    torch.testing.assert_close(logits[1].cpu(), logits[0], rtol=0.1, atol=0.1)
