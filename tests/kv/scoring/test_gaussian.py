"""Expected attention of Gaussian queries against one key and one Gaussian at a time, and against drawn queries."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from keepmap.kv.scoring.gaussian import log_expected, log_mean_expected


def gaussians(count, heads, group, dim, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(count, heads, group, dim, generator=generator, dtype=dtype)
    root = torch.randn(count, heads, group, dim, dim, generator=generator, dtype=dtype) / math.sqrt(dim)
    return mean, root @ root.transpose(-1, -2)


def plain(key, mean, covariance, scaling):
    """One key, one Gaussian."""
    return float(scaling * mean @ key + 0.5 * scaling**2 * key @ covariance @ key)


def test_log_expected_of_each_key_and_query_head():
    mean, covariance = (part[0] for part in gaussians(1, 2, 3, 5))
    keys = torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = log_expected(keys, mean, covariance, 0.3)
    assert result.shape == (2, 3, 300)
    for head, row, key in ((0, 0, 0), (1, 2, 299), (0, 1, 256)):
        expected = plain(keys[head, key], mean[head, row], covariance[head, row], 0.3)
        assert float(result[head, row, key]) == pytest.approx(expected)


def test_it_is_what_drawn_queries_pay():
    (mean, covariance), key = gaussians(1, 1, 1, 4, seed=3), torch.full((4,), 0.5, dtype=torch.float64)
    drawn = torch.distributions.MultivariateNormal(mean[0, 0, 0], covariance[0, 0, 0])
    torch.manual_seed(0)
    paid = (0.5 * drawn.sample((200_000,)) @ key).exp().mean().log()
    result = log_expected(key[None, None], mean[0], covariance[0], 0.5)
    assert float(result) == pytest.approx(float(paid), abs=0.01)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([1, 3, 8, 11]),
    st.sampled_from([1, 3]),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 600)), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_the_mean_over_each_prefix(dim, group, ends, seed):
    ends = sorted(((first, first + length) for first, length in ends), key=lambda prefix: prefix[1])
    start, last = torch.tensor(ends).T
    keys = torch.randn(2, int(last[-1]) + 3, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean, covariance = gaussians(len(ends), 2, group, dim, seed)
    result = log_mean_expected(keys, mean, covariance, start, last, 0.7)
    for index, (first, final) in enumerate(zip(start.tolist(), last.tolist(), strict=True)):
        prefix = log_expected(keys[:, first : final + 1], mean[index], covariance[index], 0.7)
        torch.testing.assert_close(result[index], prefix.logsumexp(dim=-1) - math.log(final - first + 1))


def test_a_prefix_that_begins_after_a_block_of_keys():
    keys = torch.randn(1, 700, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, covariance = gaussians(1, 1, 1, 4)
    result = log_mean_expected(keys, mean, covariance, torch.tensor([600]), torch.tensor([650]), 0.5)
    expected = log_expected(keys[:, 600:651], mean[0], covariance[0], 0.5).logsumexp(dim=-1) - math.log(51)
    torch.testing.assert_close(result[0], expected)


def test_the_covariance_is_left_as_it_was():
    mean, covariance = gaussians(1, 1, 1, 20)
    before = covariance.clone()
    log_mean_expected(torch.ones(1, 3, 20, dtype=torch.float64), mean, covariance, *torch.tensor([[0], [2]]), 0.5)
    assert torch.equal(covariance, before)
