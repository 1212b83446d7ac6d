"""The engine equals token-by-token decoding: logits, scores and expiries; of every method."""

import math

import pytest
import torch

from keepmap.kv.method import methods
from keepmap.kv.methods.adakv import AdaKV
from keepmap.kv.methods.baseline import Baseline
from keepmap.kv.methods.kvzap import KVzap, KVzapNoSink
from keepmap.kv.methods.kvzip import KVzip
from keepmap.kv.methods.oracle import Oracle
from keepmap.kv.methods.pyramidkv import PyramidKV
from keepmap.kv.methods.random import Random, RandomValidation
from tests.conformance.cases import LATER, METHODS, Case, by_engine, by_reference, sampled, whole_product
from tests.families import FAMILIES
from tests.reference.scores import GROWING

COVERS = ("keepmap.kv.methods.*",)

STEP = 2.0**-12
"""Of scores that are rounded to 13 binary digits: the relative distance of two neighbours, at most."""
ROUNDED = ("expected_attention", "expected_attention_anew", "compactor", "cur", "r_kv")
"""Methods whose scores are sums, then rounded: where the rounding decides, both sides are a step apart."""


def check(case: Case, logits: float = 5e-7, scores: float = 1e-5) -> None:
    """Both sides of one case agree. (Measured: 1e-14; but norms round to float32 whatever the model's precision.)"""
    truth, result = by_reference(case), by_engine(case)
    keep_map = result.keep_map
    if case.method not in GROWING and not torch.equal(keep_map.expires, truth.expires):
        # Two scores were equal but for rounding: the decisions have to follow from the engine's own scores, and these
        # have to be right.
        truth = by_reference(case, decided_by=keep_map.scores)
    assert torch.equal(keep_map.expires, truth.expires)
    assert torch.equal(keep_map.held, truth.held)
    if case.method in ROUNDED:
        apart = ~torch.isclose(keep_map.scores.double(), truth.scores, rtol=scores, atol=scores)
        assert apart.double().mean() < 0.01
        scores = max(scores, STEP)
    torch.testing.assert_close(keep_map.scores.double(), truth.scores, rtol=scores, atol=scores)
    torch.testing.assert_close(result.logits.double(), truth.logits.double(), rtol=0, atol=logits)
    if case.chunk_size >= case.n:
        assert (keep_map.expires == case.n).all()


@pytest.mark.parametrize("case", sampled(), ids=str)
def test_the_engine_equals_decoding(case):
    check(case)


def test_every_method_is_among_the_cases_or_one_of_them_under_another_name():
    """The others differ in a number only: the same scores, hence the same decisions under the same options."""
    others = {"baseline": Baseline, "random_validation": RandomValidation, "kvzap_no_sink": KVzapNoSink}
    others |= {"adakv": AdaKV, "pyramidkv": PyramidKV}  # test_budgets.py: snapkv under another budget
    others |= {"oracle": Oracle, "kvzip": KVzip}  # test_oracles.py
    # Plugins of other tests may have joined in this process.
    ours = {name for name, method in methods().items() if method.__module__.startswith("keepmap.")}
    assert {*METHODS, *LATER, *others} == ours and {case.method for case in sampled()} == set(METHODS)
    assert RandomValidation.score is Random.score and KVzapNoSink.score is KVzap.score
    assert (RandomValidation.threshold, KVzapNoSink.n_sink, Baseline.threshold) == (1.0, 0, -math.inf)


@pytest.mark.slow
@pytest.mark.parametrize("case", whole_product(), ids=str)
def test_the_engine_equals_decoding_in_every_case(case):
    check(case)


# Where decisions don't hinge on rounding, the other precisions agree too. What float32 measures: 6e-6.
@pytest.mark.parametrize("family", FAMILIES)
def test_float32(family):
    check(Case(family, "random", "density", 1, 5, 4, n=90, dtype=torch.float32), logits=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3", "gpt2", "gpt_oss", "phi3"])
def test_half_precision(family, dtype):
    case = Case(family, "random", "threshold", 1, 5, 4, n=70, dtype=dtype)
    exact = by_reference(Case(family, "random", "threshold", 1, 5, 4, n=70)).logits
    truth, result = by_reference(case), by_engine(case)
    assert torch.equal(result.keep_map.expires, truth.expires)
    assert result.logits.dtype in {dtype, torch.float32}
    # Not much further from exact arithmetic than decoding in the same precision is (a router may go another way).
    error = (result.logits.double() - exact).abs().mean()
    assert error <= 2.0 * (truth.logits.double() - exact).abs().mean() + 0.01


def test_the_cases_of_this_file_drop_and_keep():
    """Agreement on runs that drop nothing, or everything, would prove little."""
    both = 0
    cases = [case for case in sampled() if case.family == "llama" or case.family == "gemma3"]
    for case in cases:
        held = by_engine(case).keep_map.held[:, :, case.n_sink : case.n - case.window]
        both += 0 < int(held.sum()) < held.numel()
    assert both >= 0.7 * len(cases)
