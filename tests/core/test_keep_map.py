"""Overlaps where nothing is protected, and what chance would give, by listing every choice there is.

(What is kept, densities, the file: properties/test_keepmap.)
"""

from itertools import combinations
from types import SimpleNamespace

import pytest
import torch

from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError


def of_kept(kept, n_sink=0, window=0):
    """A map whose cache holds `kept` [L, G, N] after the last query."""
    kept = torch.tensor(kept, dtype=torch.bool)
    expires = torch.full(kept.shape, kept.shape[2])
    return KeepMap(expires, torch.zeros(kept.shape), held=kept, n_sink=n_sink, window=window)


MINE = of_kept([[[1, 0, 1, 0, 1, 1]], [[1, 1, 0, 0, 0, 1]]], n_sink=1, window=1)
THEIRS = of_kept([[[1, 1, 1, 0, 0, 1]], [[1, 0, 0, 1, 1, 1]]], n_sink=0, window=2)


def test_the_compressible_overlap_leaves_out_what_either_protects():
    # Positions 1, 2 and 3 are left: 010 and 110 in the first layer, 100 and 001 in the second.
    assert MINE.overlap(THEIRS, compressible=True) == pytest.approx(1 / 4)
    assert THEIRS.overlap(MINE, compressible=True) == pytest.approx(1 / 4)
    assert MINE.overlap(THEIRS) == pytest.approx(5 / 10)
    everything = of_kept([[[1, 1, 1]]], n_sink=2, window=2)
    assert everything.overlap(everything, compressible=True) == 1.0


def expected_both(kept, other, counted):
    """What two choices of as many keep in common on average, over all pairs of choices there are, summed over heads."""
    both = 0.0
    for layer, layer_of_other in zip(kept, other, strict=True):
        for row, row_of_other in zip(layer, layer_of_other, strict=True):
            mine, theirs = (
                [set(choice) for choice in combinations(counted, int(part[counted].sum()))]
                for part in (row, row_of_other)
            )
            both += sum(len(a & b) for a in mine for b in theirs) / (len(mine) * len(theirs))
    return both


@pytest.mark.parametrize(("compressible", "counted"), [(False, [0, 1, 2, 3, 4, 5]), (True, [1, 2, 3])])
def test_chance_is_the_mean_over_all_choices_of_as_many(compressible, counted):
    both = expected_both(MINE.kept(), THEIRS.kept(), counted)
    total = float(MINE.kept()[..., counted].sum() + THEIRS.kept()[..., counted].sum())
    expected = both / (total - both)
    assert MINE.chance_overlap(THEIRS, compressible=compressible) == pytest.approx(expected)
    assert 0 < expected < 1


def test_chance_at_a_step_counts_what_there_was():
    expires = torch.tensor([[[2, 5, 5, 5, 5]]])
    mine = KeepMap(expires, torch.zeros(1, 1, 5))
    other = KeepMap(torch.tensor([[[5, 3, 3, 5, 5]]]), torch.zeros(1, 1, 5))
    # After query 2: {1, 2} of three positions, and {0}.
    both = 2 * 1 / 3
    assert mine.chance_overlap(other, 2) == pytest.approx(both / (3 - both))
    assert mine.overlap(other, 2) == 0.0


def test_what_holds_a_map_is_compared_by_it():
    eviction = SimpleNamespace(keep_map=THEIRS)
    assert MINE.overlap(eviction) == MINE.overlap(THEIRS)
    assert MINE.chance_overlap(eviction, 2) == MINE.chance_overlap(THEIRS, 2)
    with pytest.raises(InputError, match="expected `other` to be a KeepMap or an Eviction, got a list"):
        MINE.overlap([THEIRS])


def test_only_maps_of_one_shape_are_compared():
    for ask in (MINE.overlap, MINE.chance_overlap):
        with pytest.raises(InputError, match=r"of the shape \(2, 1, 6\), got \(1, 1, 3\)"):
            ask(of_kept([[[1, 1, 1]]]))
