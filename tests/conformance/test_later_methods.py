"""Methods that go the ways of others: in `evict` and in the cache as decoding says, once and as it goes on."""

from collections.abc import Iterator
from itertools import product

import pytest
import torch

from tests.conformance.cases import LATER, Case, by_engine, by_reference
from tests.conformance.test_cache import PROMPT, N, assert_same, generate, new_cache, read, truth
from tests.conformance.test_engine import check
from tests.families import tokens


def cases() -> Iterator[Case]:
    """Two families and rules for each."""
    for seed, (method, (family, rule)) in enumerate(product(LATER, (("llama", "density"), ("gpt_oss", "threshold")))):
        yield Case(family, method, rule, (1, 7)[seed % 3 == 2], 5, 4, N, seed)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_the_engine_and_the_cache_decide_as_decoding_does(case: Case) -> None:
    check(case)
    ids, logits, keep_map = generate(case, tokens(PROMPT, case.seed))
    assert_same(keep_map, logits, truth(case, ids))
    cache = new_cache(case)
    logits = read(cache, tokens(N), [9, 1, 20, 1, 1, N - 32])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N)))


@pytest.mark.parametrize("method", LATER)
def test_a_cut_is_that_of_a_prefill_and_decoding(method: str) -> None:
    case = Case("llama", method, "density", 1, 5, 4, N, 1, context_length=40)
    true, result = by_reference(case), by_engine(case)
    assert torch.equal(result.keep_map.expires, true.expires) and torch.equal(result.keep_map.held, true.held)
    torch.testing.assert_close(result.logits.double(), true.logits.double(), rtol=0, atol=5e-7)
    cache = new_cache(case)
    logits = read(cache, tokens(N, 1), [10, 30, 1, N - 41])
    assert_same(cache.keep_map(), logits, truth(case, tokens(N, 1)))
