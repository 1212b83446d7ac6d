"""Progress of parts, told as progress of the whole."""

from keepmap.core.progress import part_of


def test_parts_run_from_nothing_to_everything():
    shares: list[float] = []
    for index in range(4):
        for share in (0.5, 1.0):
            part_of(shares.append, index, 4)(share)
    assert shares == [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0]


def test_parts_of_parts():
    shares: list[float] = []
    part_of(part_of(shares.append, 1, 2), 3, 4)(1.0)
    assert shares == [1.0]


def test_nobody_has_to_listen():
    assert part_of(None, 0, 3)(0.5) is None
