"""Every compressor: equal to its obvious form, and what must hold whatever the history."""

from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from keepmap.agents.compressor import Compressor, History, compressors
from keepmap.agents.compressors.adaptive import AdaptiveCompressor
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.best_episodes import BestEpisodesCompressor
from keepmap.agents.compressors.distinct import DistinctCompressor
from keepmap.agents.compressors.episode_summary import EpisodeSummaryCompressor
from keepmap.agents.compressors.exponential_decay import ExponentialDecayCompressor
from keepmap.agents.compressors.fifo import FifoCompressor
from keepmap.agents.compressors.first_and_recent import FirstAndRecentCompressor
from keepmap.agents.compressors.memory import MemoryCompressor
from keepmap.agents.compressors.nearest import NearestCompressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.compressors.random_without_newest import RandomWithoutNewestCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.compressors.recency_random import RecencyRandomCompressor
from keepmap.agents.compressors.reward_aware import RewardAwareCompressor
from keepmap.agents.compressors.threshold import ThresholdCompressor
from keepmap.agents.compressors.uniform import UniformCompressor
from keepmap.agents.history import shorten
from tests.reference.compressors import KEPT, Row

COVERS = ("keepmap.agents.compressors.*",)


FIELDS = ("states", "actions", "rewards", "next_states", "times", "valid", "attention")

budgets = st.integers(1, 12)
seeds = st.integers(0, 2**64)
rates = st.floats(0.01, 30) | st.just(0.5)
EACH = {
    "recency": st.builds(RecencyCompressor, budgets),
    "uniform": st.builds(UniformCompressor, budgets),
    "attention": st.builds(AttentionBasedCompressor, budgets),
    "attention, drawn": st.builds(AttentionBasedCompressor, budgets, st.floats(0.1, 5), st.just(True), seeds),
    "adaptive": st.builds(AdaptiveCompressor, budgets),
    "threshold": st.builds(
        lambda level, least, more: ThresholdCompressor(level, least, least + more),
        st.sampled_from([0.0, 0.05, 0.1, 0.25, 1.0]) | st.floats(0, 1),
        st.integers(0, 6),
        st.integers(1, 9),
    ),
    "exponential_decay": st.builds(ExponentialDecayCompressor, budgets, rates),
    "exponential_decay, drawn": st.builds(ExponentialDecayCompressor, budgets, rates, st.just(True), seeds),
    "fifo": budgets.flatmap(lambda k: st.builds(FifoCompressor, st.just(k), st.integers(1, k))),
    "first_and_recent": st.builds(FirstAndRecentCompressor, budgets, st.integers(0, 14)),
    "memory": st.builds(MemoryCompressor, budgets, st.floats(0, 1)),
    "nearest": st.builds(NearestCompressor, budgets),
    "random": st.builds(RandomCompressor, budgets, seeds),
    "random_without_newest": st.builds(RandomWithoutNewestCompressor, budgets, seeds),
    "reward_aware": st.builds(RewardAwareCompressor, budgets),
    "recency_random": st.builds(RecencyRandomCompressor, budgets, st.floats(0, 1), seeds),
    "episode_summary": st.builds(EpisodeSummaryCompressor, budgets),
    "distinct": st.builds(DistinctCompressor, budgets),
    "best_episodes": st.builds(BestEpisodesCompressor, budgets),
}
each_compressor = st.one_of(*EACH.values())


SOME = st.integers(0, 4)


@st.composite
def histories(draw, rows=SOME, most=30):
    """Ragged ones, with gaps anywhere and rubbish in the gaps; few states and weights, so that ties are common."""
    size, n = draw(rows), draw(st.integers(0, most))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    valid = torch.rand(size, n, generator=generator) < draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))

    def numbers(*shape: int, below: int) -> torch.Tensor:
        return torch.randint(below, (size, n, *shape), generator=generator)

    shape = draw(st.sampled_from(["flat", "peaks", "late", "none"]))
    weights = numbers(below=2 if shape == "flat" else 64) + (shape == "flat") * 64
    if shape == "peaks":
        weights = weights * (numbers(below=6) == 0)
    if shape == "late":
        weights = weights * torch.arange(n) ** 2
    attention = (weights * (shape != "none")).double() / 2**20
    attention[~valid] = draw(st.sampled_from([0.0, -1.0, float("nan"), float("inf")]))
    return History(
        states=numbers(2, below=2),
        actions=numbers(below=2),
        rewards=(numbers(below=3) - 1).float() * (numbers(below=4) == 0),
        next_states=numbers(2, below=2),
        times=(numbers(below=3) + 1).cumsum(1),
        valid=valid,
        attention=attention,
        dones=numbers(below=draw(st.integers(1, 5))) == 0,
        here=draw(st.sampled_from([None, torch.randint(2, (size, 1, 2), generator=generator).expand(size, n, 2)])),
    )


def alone(history: History, row: int) -> Row:
    """One row's transitions, without its gaps."""
    there = history.valid[row]
    s, a, r, after = (getattr(history, name)[row][there].tolist() for name in FIELDS[:4])
    transitions = [(tuple(x), y, z, tuple(w)) for x, y, z, w in zip(s, a, r, after, strict=True)]
    others = (part[row][there].tolist() for part in (history.times, history.attention, history.dones))
    led_to = transitions[-1][3] if transitions else ()
    here = led_to if history.here is None or not transitions else tuple(history.here[row, 0].tolist())
    return Row(transitions, *others, here)


def chosen(compressor: Compressor, history: History) -> list[list[int]]:
    selection = compressor.select(history)
    return [indices[mask].tolist() for indices, mask in zip(selection.indices, selection.mask, strict=True)]


@pytest.mark.parametrize("which", EACH)
@settings(max_examples=60)
@given(st.data())
def test_equals_its_obvious_form(which, data):
    history, compressor = data.draw(histories()), data.draw(EACH[which])
    for row, result in enumerate(chosen(compressor, history)):
        places = history.valid[row].nonzero()[:, 0].tolist()
        slow = KEPT[compressor.name](alone(history, row), **asdict(compressor))
        assert result == [places[j] for j in slow]


def test_every_compressor_has_an_obvious_form():
    assert set(KEPT) == set(compressors())


def least_held(compressor: Compressor) -> int:
    """How many it keeps at least of as many as it may keep."""
    if isinstance(compressor, ThresholdCompressor):
        return compressor.min_keep
    return (
        compressor.target_length - compressor.drop + 1
        if isinstance(compressor, FifoCompressor)
        else compressor.max_length
    )


@given(histories(), each_compressor)
def test_what_a_selection_is(history, compressor):
    selection = compressor.select(history)
    indices, mask = selection.indices, selection.mask
    n = history.valid.shape[1]
    assert indices.shape == mask.shape == (len(history.valid), min(compressor.max_length, n))
    assert (indices.dtype, mask.dtype) == (torch.int64, torch.bool)
    assert (indices[~mask] == 0).all()
    assert not (mask[:, 1:] & ~mask[:, :-1]).any(), "the kept ones come first"
    assert (indices[:, 1:] > indices[:, :-1])[mask[:, 1:]].all(), "in chronological order, none twice"
    assert history.valid.gather(1, indices)[mask].all(), "no padding is kept"
    assert (mask.sum(1) <= compressor.max_length).all()
    count = history.valid.sum(1)
    room = least_held(compressor)
    assert (mask.sum(1) == count)[count <= room].all(), "a history no longer than the budget is kept whole"
    assert (mask.sum(1) >= count.clamp(max=room)).all()
    if room == compressor.max_length:
        assert (mask.sum(1) == count.clamp(max=compressor.max_length)).all(), "the budget is used"


@given(histories(), each_compressor)
def test_the_newest_is_kept_by_those_that_say_so(history, compressor):
    assume(compressor.keeps_newest)
    for row, result in enumerate(chosen(compressor, history)):
        places = history.valid[row].nonzero()[:, 0].tolist()
        assert result[-1:] == places[-1:]


@given(histories(rows=st.integers(1, 4)), each_compressor, st.integers(0, 3))
def test_a_row_alone_without_its_padding_gives_the_same(history, compressor, row):
    assume(row < len(history.valid))
    there = history.valid[row]
    single = history.map(lambda part: part[row : row + 1][:, there])
    places = there.nonzero()[:, 0]
    assert [places[j] for j in chosen(compressor, single)[0]] == chosen(compressor, history)[row]


@given(histories(), each_compressor)
def test_deterministic_and_nothing_is_changed(history, compressor):
    before = {name: getattr(history, name).clone() for name in FIELDS}
    first, second = chosen(compressor, history), chosen(compressor, history)
    assert first == second
    for name in FIELDS:
        torch.testing.assert_close(getattr(history, name), before[name], equal_nan=True, rtol=0, atol=0)


@given(histories(), each_compressor)
def test_a_shortened_history_keeps_its_times_and_marks_what_is_not_there(history, compressor):
    selection = compressor.select(history)
    short = shorten(history, selection)
    assert torch.equal(short.valid, selection.mask)
    for name in FIELDS:
        old, new = getattr(history, name), getattr(short, name)
        assert new.dtype == old.dtype and new.shape[:2] == selection.mask.shape
        for row, kept in enumerate(chosen(compressor, history)):
            assert torch.equal(new[row, : len(kept)], old[row, kept])
            if name != "valid":
                assert (new[row, len(kept) :] == -1).all()
    # What is short enough stays as it is.
    if not isinstance(compressor, ThresholdCompressor):
        again = shorten(short, compressor.select(short)) if short.valid.shape[1] else short
        if not compressor.needs_attention:
            assert torch.equal(again.times, short.times)


@pytest.mark.parametrize("control", [RandomCompressor, RandomWithoutNewestCompressor])
@given(history=histories(rows=st.just(1)), budget=budgets, seed=seeds)
def test_a_random_choice_is_stable_as_the_history_grows(control, history, budget, seed):
    compressor = control(budget, seed)
    gone: set[int] = set()
    for n in range(history.valid.shape[1] + 1):
        kept = set(chosen(compressor, history.map(lambda part, n=n: part[:, :n]))[0])
        there = set(history.valid[0, :n].nonzero()[:, 0].tolist())
        assert not kept & gone, "what was dropped never comes back"
        gone = there - kept


@given(histories(), st.one_of(EACH["first_and_recent"], EACH["memory"]))
def test_one_that_remembers_needs_only_what_it_held(history, compressor):
    """A choice of the whole life is the choice of what was held before and of what came since."""
    held = history.map(lambda part: part[:, :0])
    for n in range(history.valid.shape[1]):
        joined = {name: torch.cat([part, getattr(history, name)[:, n : n + 1]], 1) for name, part in parts_of(held)}
        held = shorten(History(**joined), compressor.select(History(**joined)))
    whole = shorten(history, compressor.select(history))
    for row in range(len(history.valid)):
        assert held.times[row, held.valid[row]].tolist() == whole.times[row, whole.valid[row]].tolist()


def parts_of(history: History) -> list[tuple[str, torch.Tensor]]:
    return [(name, part) for name, part in vars(history).items() if part is not None]


@given(st.integers(2, 40), st.integers(1, 60), rates)
@example(10, 150, 0.5)
@example(40, 1, 1e-9)
@example(40, 60, 700.0)
def test_gaps_grow_with_age(budget, more, rate):
    n = budget + more
    valid = torch.ones(1, n, dtype=torch.bool)
    flat = torch.zeros(1, n, dtype=torch.int64)
    history = History(
        states=flat[..., None], actions=flat, rewards=flat.float(), next_states=flat[..., None], times=flat, valid=valid
    )
    ages = [n - 1 - j for j in chosen(ExponentialDecayCompressor(budget, rate), history)[0]][::-1]
    assert len(set(ages)) == budget
    assert ages[0] == 0 and ages[-1] == n - 1, "from the newest to the oldest"
    gaps = [b - a for a, b in zip(ages, ages[1:], strict=False)]
    assert all(b >= a - 1 for a, b in zip(gaps, gaps[1:], strict=False)), "but for the rounding to whole ages"
    steeper = [n - 1 - j for j in chosen(ExponentialDecayCompressor(budget, 2 * rate), history)[0]][::-1]
    assert all(b <= a for a, b in zip(ages, steeper, strict=True)), "a larger rate is more recent"


@pytest.mark.parametrize("name", sorted(compressors()))
def test_missing_attention_is_an_error_and_never_a_fallback(name):
    compressor = compressors()[name]()
    flat = torch.zeros(1, 30, dtype=torch.int64)
    history = History(
        states=flat[..., None],
        actions=flat,
        rewards=flat.float(),
        next_states=flat[..., None],
        times=flat,
        valid=torch.ones(1, 30, dtype=torch.bool),
    )
    if compressor.needs_episodes:
        with pytest.raises(ValueError, match=r"does not say where they end; pass episode_ends=\.\.\.$"):
            compressor.select(history)
        return
    if not compressor.needs_attention:
        assert compressor.select(history).mask.all()
        return
    with pytest.raises(
        ValueError, match=r"decides by attention and none was given; pass attention=.* or agent=\.\.\.$"
    ):
        compressor.select(history)
    for wrong in (float("nan"), float("inf"), -0.5):
        with pytest.raises(ValueError, match="30 .* negative or not finite"):
            compressor.select(replace(history, attention=torch.full((1, 30), wrong)))
