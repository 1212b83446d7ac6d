"""What an eviction says of itself: NLL and damage as a comparison measures them, and against obvious sums."""

import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.comparison.compare import compare
from keepmap.kv.eviction.evict import evict
from keepmap.language_model import load_language_model
from tests.families import build, tokens


@pytest.fixture(scope="module")
def llama():
    return load_language_model(build("llama"))


@pytest.fixture(scope="module")
def eviction(llama):
    return evict(llama, tokens(60), "streaming_llm", window=8)


def test_nll_is_that_of_each_next_token(eviction):
    log_p = eviction.logits.double().log_softmax(-1)
    expected = [-float(log_p[i, token]) for i, token in enumerate(tokens(60)[1:].tolist())]
    assert eviction.nll().tolist() == pytest.approx(expected, rel=1e-12)
    assert eviction.nll().dtype == torch.float64


def test_damage_is_what_a_comparison_measures(llama, eviction):
    comparison = compare(llama, [tokens(60)], ["streaming_llm"], window=8)
    by_method = {sample.method: sample for sample in comparison.samples}
    sample, baseline = by_method["streaming_llm"], by_method["baseline"]
    damage = eviction.damage()
    assert damage.n == sample.n_predicted == 59
    assert damage.nll == sample.nll / 59 and damage.reference_nll == pytest.approx(baseline.nll / 59, rel=1e-12)
    assert damage.kl == sample.kl / 59 and damage.top1_agreement == sample.n_agreed / 59
    assert damage.nll == pytest.approx(float(eviction.nll().mean()), rel=1e-14)
    assert damage.delta == damage.nll - damage.reference_nll
    assert damage.kl > 0.01 and damage.top1_agreement < 1


def test_damage_against_another_eviction(llama, eviction):
    weaker = evict(llama, tokens(60), "streaming_llm", window=30)
    damage = eviction.damage(weaker)
    p, q = (part.logits.double().log_softmax(-1)[:-1] for part in (weaker, eviction))
    assert damage.kl == pytest.approx(float((p.exp() * (p - q)).sum() / 59), rel=1e-9)
    assert damage.top1_agreement == pytest.approx(float((p.argmax(1) == q.argmax(1)).double().mean()))
    assert damage.reference_nll == pytest.approx(float(weaker.nll().mean()), rel=1e-14)
    none = eviction.damage(eviction)
    assert (none.delta, none.kl, none.top1_agreement) == (0.0, 0.0, 1.0)


def test_damage_that_cannot_be_measured_is_one_line(llama, eviction):
    with pytest.raises(InputError, match="two tokens or more"):
        evict(llama, tokens(1), "random").damage()
    with pytest.raises(InputError, match="another text"):
        eviction.damage(evict(llama, tokens(60, seed=1), "random"))
    with pytest.raises(InputError, match="got a KeepMap"):
        eviction.damage(eviction.keep_map)
    assert len(evict(llama, tokens(1), "random").nll()) == 0


def test_reprs_begin_with_the_answer(eviction):
    assert repr(eviction).startswith(
        "Eviction(StreamingLLM on LlamaForCausalLM, 60 tokens: 20.00% of the cache is kept)"
    )
    assert repr(eviction.damage()).startswith(f"Damage({eviction.damage().delta:+.4f} nats per token: NLL ")
