"""Threads on one model give what each alone would give, and the model is left as it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

import keepmap
from keepmap.attention.passes.forward import alone_with
from keepmap.language_model import load_language_model
from tests.families import build, tokens

COVERS = ("keepmap.attention.passes.forward",)
FAMILIES = (("llama", "eager"), ("llama", "sdpa"), ("gemma2", "eager"), ("gpt_oss", "eager"))
TIMES = 6


def beside(*works: Callable[[], object]) -> list[list[object]]:
    """What each work gives, several times over, while the others run beside it."""
    barrier = Barrier(len(works))

    def repeat(work: Callable[[], object]) -> list[object]:
        barrier.wait()
        return [work() for _ in range(TIMES)]

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(repeat, work) for work in works]]


@pytest.mark.parametrize(("family", "implementation"), FAMILIES)
def test_evict_profile_generate_and_a_plain_pass_side_by_side(family: str, implementation: str) -> None:
    model = build(family)
    model.set_attn_implementation(implementation)
    model.train()
    language_model = load_language_model(model)
    ids = tokens(40)

    def plain() -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=ids[None]).logits

    def generated() -> torch.Tensor:
        return model.generate(input_ids=ids[None], max_new_tokens=5, do_sample=False, pad_token_id=0)

    works = (
        lambda: keepmap.evict(language_model, ids, "h2o", density=0.5, n_sink=2, window=4).hidden_states,
        lambda: keepmap.evict(language_model, ids, "streaming_llm", n_sink=2, window=4).hidden_states,
        lambda: keepmap.profile_attention(language_model, ids).received,
        plain,
        generated,
    )
    alone = [work() for work in works]
    for results, expected in zip(beside(*works), alone, strict=True):
        assert all(torch.equal(result, expected) for result in results)
    assert model.config._attn_implementation == implementation
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_pass_of_the_same_thread_inside_another_does_not_wait_for_itself() -> None:
    model = build("llama")
    with alone_with(model), alone_with(model):
        assert keepmap.evict(model, tokens(20), "random").keep_map.shape[2] == 20
