"""Counting tokens as the guide does, to the character; and entries."""

import pytest
import torch

from keepmap.core.densities import KeptCounts, entry_statistics, token_statistics
from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError, InputError


def streaming(n: int, n_sink: int = 4, window: int = 128, threshold: float | None = 1.0) -> KeepMap:
    """What StreamingLLM leaves of n positions in 2 layers of 3 heads."""
    position = torch.arange(n)
    protected = (position < n_sink) | (position >= n - window)
    expires = torch.where(position < n_sink, n, (position + window + 1).clamp(max=n)).expand(2, 3, n)
    return KeepMap(
        expires, torch.zeros(2, 3, n), held=protected.expand(2, 3, n), n_sink=n_sink, window=window, threshold=threshold
    )


@pytest.mark.parametrize("n", [1024, 1025, 3000])
def test_the_lines_of_the_guide(n):
    assert token_statistics(streaming(n)).lines() == [
        "Tokens visualized: 1024",
        "Overall density: 12.89% (132/1024 kept)",
        "Protected tokens: 132 (sinks=4, window=128)",
        "Compressible region density: 0.00% (0/892 kept)",
    ]


def test_entries_stand_beside_them():
    assert entry_statistics(streaming(1024)).entry_lines() == [
        "Entries (layer x KV head x token): 12.89% (792/6144 kept)",
        "Compressible entries: 0.00% (0/5352 kept)",
    ]


def test_counts_are_added_and_divided():
    counts = KeptCounts(10, 6, 4, 1) + KeptCounts(10, 4, 4, 1)
    assert counts == KeptCounts(20, 10, 8, 2)
    assert (counts.density(), counts.compressible_density()) == (0.5, 0.25)
    nothing = KeptCounts(0, 0, 0, 0)
    assert (nothing.density(), nothing.compressible_density()) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((10, 11, 5, 5), "more was kept than there is"),
        ((10, 8, 5, 6), "more was kept than there is"),
        ((10, 8, 5, -1), "more was kept than there is"),
        ((10, 8, 9, 2), "the parts of a count"),
        ((10, 2, 9, 3), "the parts of a count"),
    ],
)
def test_counts_that_cannot_be_are_refused(numbers, message):
    with pytest.raises(ImpossibleResultError, match=message):
        KeptCounts(*numbers)


def test_the_value_and_the_masks_agree():
    statistics = token_statistics(streaming(300), n_tokens=200)
    assert statistics.counts == KeptCounts(200, 132, 68, 0)
    assert (statistics.n_tokens, statistics.n_kept, statistics.n_protected) == (200, 132, 132)
    assert (statistics.n_compressible, statistics.n_compressible_kept) == (68, 0)
    assert statistics.kept.tolist() == statistics.protected.tolist()
    assert statistics.protected.nonzero()[:, 0].tolist() == [0, 1, 2, 3, *range(72, 200)]


def test_a_text_shorter_than_the_window_is_protected_whole():
    lines = token_statistics(streaming(50)).lines()
    assert lines[1:] == [
        "Overall density: 100.00% (50/50 kept)",
        "Protected tokens: 50 (sinks=4, window=50)",
        "Compressible region density: 100.00% (0/0 kept)",
    ]


def disagreeing(threshold: float | None) -> KeepMap:
    """4 positions, no protection, 4 entries each: kept by all, by 3, by 2 and by 1 of them."""
    kept = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]).T.bool()
    scores = torch.where(kept, 0.9, torch.tensor([0.0, 0.4, 0.0, 0.4]))
    scores[2, 2], scores[0, 2] = 0.45, 0.9
    expires = torch.where(kept, 4, torch.arange(4) + 1)
    return KeepMap(expires.reshape(2, 2, 4), scores.reshape(2, 2, 4), held=kept.reshape(2, 2, 4), threshold=threshold)


def test_protected_tokens_count_as_kept_whatever_the_map_says():
    keep_map = KeepMap(
        torch.arange(1, 6).clamp(max=5).expand(1, 1, 5), torch.zeros(1, 1, 5), n_sink=1, window=2, threshold=0.5
    )
    assert token_statistics(keep_map).kept.tolist() == [True, False, False, True, True]


def test_layers_that_disagree_under_the_threshold_rule_go_by_the_mean_score():
    keep_map = disagreeing(0.6)
    assert (keep_map.scores.mean((0, 1)) >= 0.6).tolist() == [True, True, False, False]
    assert token_statistics(keep_map).kept.tolist() == [True, True, False, False]
    # Positions 2 and 1 would change places by majority: that is the other rule.
    assert token_statistics(disagreeing(0.5)).kept.tolist() == [True, True, True, True]


def test_layers_that_disagree_under_the_budget_rule_go_by_half_of_the_entries():
    assert token_statistics(disagreeing(None)).kept.tolist() == [True, True, True, False]


def test_what_still_waits_for_the_end_of_its_chunk_is_kept():
    n, chunk = 40, 16
    position = torch.arange(n)
    expires = torch.where(position < 8, 16, 32).clamp(max=n).where(position < 24, n).expand(1, 1, n)
    held = (position >= 38).expand(1, 1, n) & (expires >= n)
    keep_map = KeepMap(expires, torch.zeros(1, 1, n), held=held, window=2, threshold=0.5)
    assert token_statistics(keep_map, n_tokens=12).n_kept == 12
    assert token_statistics(keep_map, n_tokens=chunk).n_kept == chunk - 8
    assert token_statistics(keep_map, n_tokens=n).n_kept == 2


def test_a_score_that_is_the_threshold_in_float32_is_kept():
    keep_map = KeepMap(torch.full((2, 3, 5), 5), torch.full((2, 3, 5), 0.85), threshold=0.85)
    assert token_statistics(keep_map).n_kept == 5


def test_no_token_is_an_error():
    with pytest.raises(InputError, match="`n_tokens` of 0"):
        token_statistics(streaming(10), n_tokens=0)
    with pytest.raises(InputError, match="a map of 0"):
        entry_statistics(KeepMap(torch.zeros(1, 1, 0).long(), torch.zeros(1, 1, 0)))


def test_what_comes_after_a_context_that_was_cut_once_is_protected() -> None:
    expires = torch.full((1, 1, 8), 8)
    expires[..., 1:3] = 6
    keep_map = KeepMap(expires, torch.zeros(1, 1, 8), n_sink=1, window=2, context_length=6)
    statistics = token_statistics(keep_map)
    assert statistics.protected.tolist() == [True, False, False, False, True, True, True, True]
    assert statistics.lines()[2] == "Protected tokens: 5 (sinks=1, window=2, after the context=2)"
    assert statistics.counts.compressible_density() == 1 / 3
    before = token_statistics(keep_map, 5)
    assert before.n_after == 0 and before.lines()[2] == "Protected tokens: 3 (sinks=1, window=2)"
