"""Every job is begun, the large ones first, and what was lost before all others."""

from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.executors.schedule import Schedule

SIZES = st.lists(st.integers(0, 9).map(float), max_size=12)


def order(schedule: Schedule) -> list[int]:
    return list(iter(schedule.next, None))


@given(SIZES)
def test_every_job_is_begun_once_and_large_ones_from_the_largest_on(sizes: list[float]) -> None:
    begun = order(Schedule(sizes))
    assert sorted(begun) == list(range(len(sizes)))
    mean = sum(sizes) / max(1, len(sizes))
    large = [sizes[index] for index in begun if sizes[index] > mean]
    assert [sizes[index] for index in begun[: len(large)]] == sorted(large, reverse=True)
    assert begun[len(large) :] == sorted(begun[len(large) :])


@given(SIZES, st.data())
def test_what_was_lost_comes_next_and_what_is_done_is_not_left(sizes: list[float], data: st.DataObject) -> None:
    schedule = Schedule(sizes)
    losses, done = dict.fromkeys(range(len(sizes)), 0), set[int]()
    while schedule.n_left:
        index = schedule.next()
        assert index is not None and index not in done
        while losses[index] < 3 and data.draw(st.booleans()):
            losses[index] += 1
            assert schedule.lost(index) == losses[index] and schedule.next() == index
        schedule.done(index)
        done.add(index)
    assert done == set(losses) and schedule.next() is None
