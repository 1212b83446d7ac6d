"""Insights into language models, tested by deletion: equal to eager runs with a mask in one layer."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div
from transformers import PreTrainedModel

import keepmap
from keepmap.errors import InputError
from keepmap.insight.verification import Verification
from keepmap.insight.verify_texts import N_SINK, ForgetfulText, verify_texts
from keepmap.kv.eviction.replay import hidden_states_under
from keepmap.language_model import LanguageModel, load_language_model
from keepmap.printing.verification import verification_lines
from tests.families import build, tokens

N = 48


@contextmanager
def _masked(model: PreTrainedModel, masks: dict[int, Tensor]) -> Iterator[None]:
    """Eager attention (its softmax is in float32) in which a layer sees only what its mask [H, N, N] says."""

    def hide(module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        given = kwargs.get("attention_mask")
        assert isinstance(given, Tensor)
        hidden = torch.zeros(masks[module.layer_idx].shape, dtype=given.dtype)
        kwargs["attention_mask"] = given + hidden.masked_fill(~masks[module.layer_idx], float("-inf"))[None]
        return args, kwargs

    handles = [
        module.register_forward_pre_hook(hide, with_kwargs=True)
        for module in model.modules()
        if getattr(module, "layer_idx", None) in masks and "Attention" in type(module).__name__
    ]
    assert len(handles) == len(masks)
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        for handle in handles:
            handle.remove()


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def language_model(request: pytest.FixtureRequest) -> LanguageModel:
    return load_language_model(build(request.param))


def _slow(language_model: LanguageModel, text: Tensor, expires: Tensor) -> Tensor:
    """Logits from a dense pass in which every layer has its own mask."""
    query, position = torch.arange(len(text))[:, None], torch.arange(len(text))
    group = language_model.n_heads // language_model.n_kv_heads
    seen = (position <= query) & (query < expires[:, :, None])
    masks = {layer: seen[layer].repeat_interleave(group, 0) for layer in range(len(seen))}
    with torch.no_grad(), _masked(language_model.model, masks):
        return language_model.model(input_ids=text[None], use_cache=False).logits[0]


def test_any_expiries_equal_a_masked_dense_pass(language_model: LanguageModel) -> None:
    text = tokens(N)
    shape = (language_model.n_layers, language_model.n_kv_heads, N)
    drawn = torch.randint(1, N, shape, generator=torch.Generator().manual_seed(0))
    expires = (torch.arange(N) + drawn).clamp(max=N)
    result = language_model.head(hidden_states_under(language_model, text, expires))
    torch.testing.assert_close(result, _slow(language_model, text, expires), rtol=0, atol=2e-5)


def test_a_keep_map_is_replayed(language_model: LanguageModel) -> None:
    eviction = keepmap.evict(language_model, tokens(N), "random", density=0.3, n_sink=2, window=5)
    again = hidden_states_under(language_model, tokens(N)[None], eviction.keep_map.expires)
    assert torch.equal(again, eviction.hidden_states)


def test_expiries_that_cannot_be(language_model: LanguageModel) -> None:
    shape = (language_model.n_layers, language_model.n_kv_heads, N)
    with pytest.raises(InputError, match="expected `expires` to be of the shape"):
        hidden_states_under(language_model, tokens(N - 1), torch.full(shape, N))
    for wrong in (0, N + 1):
        with pytest.raises(InputError, match="expected `expires` to be in j"):
            hidden_states_under(language_model, tokens(N), torch.full(shape, wrong))


@pytest.fixture(scope="module")
def verification(language_model: LanguageModel) -> Verification:
    return verify_texts(language_model, [tokens(N, seed) for seed in range(3)], draws=2)


def test_costs_are_those_of_one_layer_that_forgets(
    language_model: LanguageModel, verification: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, Tensor, dict[str, float]]] = []
    cost = ForgetfulText.cost

    def noted(self: ForgetfulText, layer: int, kept: Tensor) -> dict[str, float]:
        calls.append((layer, kept, cost(self, layer, kept)))
        return calls[-1][2]

    monkeypatch.setattr(ForgetfulText, "cost", noted)
    text, half = tokens(N), N // 2
    again = verify_texts(language_model, [text], draws=2)
    assert (
        again.trials
        == tuple(of_trial for of_trial in verification.trials if of_trial.sample == 0 and of_trial.rule == "ours")
        or calls
    )
    full = torch.full((language_model.n_layers, language_model.n_kv_heads, N), N)
    whole = _slow(language_model, text, full)[half:-1]
    for layer, kept, result in calls[:6]:
        assert kept[:, :N_SINK].all() and kept[:, -1].all() and not kept.all()
        expires = full.clone()
        expires[layer, :, :half] = torch.where(kept, N, half)
        logits = _slow(language_model, text, expires)[half:-1]
        after = text[half + 1 :]
        assert result["nll"] == pytest.approx(
            float(cross_entropy(logits, after) - cross_entropy(whole, after)), abs=1e-6
        )
        kl = kl_div(logits.log_softmax(1), whole.log_softmax(1), log_target=True, reduction="batchmean")
        assert result["kl"] == pytest.approx(float(kl), abs=1e-6)
    numbers = [trial for trial in again.trials for _ in range(3)]
    assert [number.layer for number in numbers] == [layer for layer, _, _ in calls]
    for trial, arms in zip(again.trials, zip(*[iter(calls)] * 3, strict=True), strict=True):
        stay = (N_SINK + 1) * language_model.n_kv_heads
        assert {int(kept.sum()) - stay for _, kept, _ in arms} == {trial.kept}
        assert trial.cost == arms[0][2]
        assert trial.random["kl"] == pytest.approx((arms[1][2]["kl"] + arms[2][2]["kl"]) / 2)


def test_the_same_seed_gives_the_same(language_model: LanguageModel, verification: Verification) -> None:
    texts, shares = [tokens(N, seed) for seed in range(3)], list[float]()
    again = verify_texts(language_model, texts, draws=2, progress=shares.append)
    assert again == verification
    assert shares == sorted(shares) and shares[-1] == 1
    other = verify_texts(language_model, texts, draws=2, seed=1)
    assert [trial.cost for trial in other.trials] == [trial.cost for trial in verification.trials]
    assert [trial.random for trial in other.trials] != [trial.random for trial in verification.trials]


def test_what_is_said(verification: Verification) -> None:
    assert verification.host == "language model" and verification.n_samples == 3
    assert {comparison.unit for comparison in verification.compared} == {"kl", "nll"}
    assert next(comparison for comparison in verification.compared if comparison.unit == "kl").whole == pytest.approx(
        0, abs=1e-12
    )
    lines = verification_lines(verification)
    assert all(len(line) <= 80 for line in lines if "keepmap.evict" not in line)
    assert "(3 texts)" in "\n".join(lines)


def test_what_a_layers_own_window_hides_is_not_drawn() -> None:
    language_model = load_language_model(build("mistral"))
    result = verify_texts(language_model, [tokens(120)], draws=1)
    assert {trial.of for trial in result.trials} == {(24 - 1) * language_model.n_kv_heads}


def test_texts_that_are_too_short() -> None:
    language_model = load_language_model(build("llama"))
    with pytest.raises(InputError, match="one or more texts, got none"):
        verify_texts(language_model, [])
    with pytest.raises(InputError, match="to have 14 tokens or more.* got text 1 of 9"):
        verify_texts(language_model, [tokens(20), tokens(9)])
    assert verify_texts(language_model, [tokens(14)], draws=1).n_samples == 1
