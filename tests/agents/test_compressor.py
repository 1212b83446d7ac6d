"""`compress` on arrays as users hold them, the registry, and what both refuse."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from keepmap.agents.compressor import Compressor, History, as_compressor, compressors, make_compressor
from keepmap.agents.compressors.adaptive import AdaptiveCompressor
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.exponential_decay import ExponentialDecayCompressor
from keepmap.agents.compressors.random import RandomCompressor
from keepmap.agents.compressors.random_without_newest import RandomWithoutNewestCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.compressors.reward_aware import RewardAwareCompressor
from keepmap.agents.compressors.threshold import ThresholdCompressor
from keepmap.agents.compressors.uniform import UniformCompressor
from keepmap.errors import InputError
from tests.forked import python


def batch(size: int = 3, n: int = 20) -> tuple[torch.Tensor, ...]:
    """States, actions (one-hot), rewards and next states; no two transitions of a row are equal."""
    generator = torch.Generator().manual_seed(0)
    states = torch.stack([torch.arange(n).expand(size, n), torch.randint(9, (size, n), generator=generator)], 2)
    actions = torch.nn.functional.one_hot(torch.randint(5, (size, n), generator=generator), 5)
    rewards = torch.rand(size, n, 1, generator=generator).round()
    return states, actions, rewards, states + 1


def test_the_documents_constructors() -> None:
    assert RecencyCompressor(keep_recent=10) == RecencyCompressor(10) == RecencyCompressor()
    assert UniformCompressor(target_length=10) == UniformCompressor(10) == UniformCompressor()
    assert AttentionBasedCompressor(target_length=10, temperature=1.0) == AttentionBasedCompressor(10, 1.0)
    assert AdaptiveCompressor(target_length=10) == AdaptiveCompressor(10)
    assert ThresholdCompressor(threshold=0.1, min_keep=3, max_keep=20) == ThresholdCompressor(0.1, 3, 20)
    assert ThresholdCompressor() == ThresholdCompressor(0.1, 3, 20)
    assert ExponentialDecayCompressor(target_length=10, decay_rate=0.5) == ExponentialDecayCompressor(10, 0.5)
    assert RandomCompressor(target_length=10, seed=0) == RandomCompressor(10, 0)
    assert RandomWithoutNewestCompressor(target_length=10, seed=0) == RandomWithoutNewestCompressor(10, 0)
    assert RewardAwareCompressor(target_length=10) == RewardAwareCompressor(10)


@pytest.mark.parametrize("kind", ["torch", "numpy"])
@pytest.mark.parametrize("name", sorted(compressors()))
def test_what_is_kept_stands_in_the_arrays(name: str, kind: str) -> None:
    arrays: tuple = batch()
    attention = torch.rand(3, 20, generator=torch.Generator().manual_seed(1))
    if kind == "numpy":
        arrays, attention = tuple(array.numpy() for array in arrays), attention.numpy()
    ends = arrays[2][..., 0] == 1
    before = [array.copy() if kind == "numpy" else array.clone() for array in arrays]
    short = make_compressor(name).compress(*arrays, attention=attention, episode_ends=ends)
    states, actions, rewards, next_states = short
    assert len(short) == 4 and isinstance(short, tuple)
    m = short.indices.shape[1]
    assert 3 <= m <= 10 and short.mask.shape == (3, m)
    for old, kept, untouched in zip(arrays, (states, actions, rewards, next_states), before, strict=True):
        assert type(kept) is type(old) and kept.dtype == old.dtype and kept.shape == (3, m, *old.shape[2:])
        assert (old == untouched).all()
        for row in range(3):
            assert (kept[row][short.mask[row]] == old[row][short.indices[row][short.mask[row]]]).all()


def test_short_rows_end_in_what_cannot_be_data() -> None:
    states, actions, rewards, next_states = batch(2, 6)
    mask = torch.tensor([[False, True, False, True, False, False], [True] * 6])
    short = RecencyCompressor(4).compress(states.to(torch.uint8), actions.float(), rewards, next_states, mask=mask)
    assert short.indices.tolist() == [[1, 3, 0, 0], [2, 3, 4, 5]]
    assert short.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert (short[0][0, 2:] == 255).all() and (short[3][0, 2:] == -1).all()
    assert short[1][0, 2:].isnan().all() and short[2][0, 2:].isnan().all()
    assert not short[1][short.mask].isnan().any()
    as_numpy = RecencyCompressor(4).compress(
        *(array.numpy() for array in (states.to(torch.uint16), actions.half(), rewards, next_states.short())),
        mask=mask.numpy(),
    )
    assert (as_numpy[0][0, 2:] == 65535).all() and (as_numpy[3][0, 2:] == -1).all()
    assert np.isnan(as_numpy[1][0, 2:]).all() and as_numpy[1].dtype == np.float16
    with pytest.raises(InputError, match="booleans"):
        RecencyCompressor(4).compress(states, actions, rewards.bool(), next_states, mask=mask)


def test_all_rows_are_cut_to_the_longest() -> None:
    attention = torch.full((3, 20), 1e-3)
    attention[0, [2, 5, 7, 11]] = 1.0
    short = ThresholdCompressor().compress(*batch(), attention=attention)
    assert short.indices[0].tolist() == [2, 5, 7, 11]
    assert short.mask.sum(1).tolist() == [4, 3, 3]
    assert short.indices[1][:3].tolist() == [17, 18, 19], "of equal ones the most recent"


@pytest.mark.parametrize("name", sorted(compressors()))
def test_an_empty_history_and_one_transition(name: str) -> None:
    compressor = make_compressor(name)
    for n in (0, 1):
        arrays = tuple(array[:, :n] for array in batch())
        short = compressor.compress(*arrays, attention=torch.ones(3, n), episode_ends=torch.zeros(3, n))
        assert [array.shape for array in short] == [array.shape for array in arrays]
        assert short.mask.shape == (3, n) and short.mask.all()


def test_the_documents_threshold_counts_shares_of_the_history() -> None:
    attention = torch.full((1, 10), 0.05)
    arrays = batch(1, 10)
    assert ThresholdCompressor(0.1).compress(*arrays, attention=attention).mask.sum() == 10
    assert ThresholdCompressor(0.11).compress(*arrays, attention=attention).mask.sum() == 3
    inexact = torch.full((1, 10), 17 / 97, dtype=torch.float64)
    assert inexact[0, 0] / inexact.sum() < 0.1, "by the last bit of the sum"
    assert ThresholdCompressor(0.1).compress(*arrays, attention=inexact).mask.sum() == 10


def test_ages_of_exponential_decay_are_those_of_its_docstring() -> None:
    short = ExponentialDecayCompressor().compress(*batch(1, 160))
    assert (159 - short.indices[0]).tolist() == [159, 95, 57, 34, 19, 11, 6, 3, 1, 0]


def test_adaptive_follows_the_documents_patterns() -> None:
    n, arrays = 40, batch(1, 40)

    def kept(attention: torch.Tensor) -> list[int]:
        return AdaptiveCompressor(4).compress(*arrays, attention=attention[None]).indices[0].tolist()

    assert kept(torch.linspace(0, 1, n) ** 2) == [36, 37, 38, 39]
    assert kept(torch.ones(n)) == [0, 13, 26, 39]
    peaks = torch.zeros(n)
    peaks[[3, 8, 15]] = 0.3
    assert kept(peaks) == [3, 8, 15, 39]
    # Six equal weights have an entropy of 1.79: half by attention, half evenly.
    peaks[[20, 21, 22]] = 0.3
    assert kept(peaks) == [0, 21, 22, 39]
    # The newest decides here: without it the attention would be flat.
    late = torch.full((n,), 0.01)
    late[-1] = 1.0
    assert kept(late) == [36, 37, 38, 39]


def test_reward_aware_prefers_rewards_then_what_is_distinct() -> None:
    cell = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4])
    reward = torch.tensor([0.0, 1, 1, 0, 0, 0, 0, 0])
    arrays = (cell[None, :, None], torch.zeros(1, 8), reward[None], cell[None, :, None])
    kept = [RewardAwareCompressor(k).compress(*arrays).indices[0].tolist() for k in (1, 2, 3, 6, 7)]
    assert kept == [[2], [2, 7], [2, 6, 7], [0, 2, 3, 5, 6, 7], [0, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("name", ["random", "random_without_newest", "attention", "exponential_decay"])
def test_draws_are_fair(name: str) -> None:
    """Over many seeds each transition is kept as often as its weight says; ages count through the weights alone."""
    valid = torch.ones(1, 8, dtype=torch.bool)
    flat = torch.zeros(1, 8, dtype=torch.int64)
    weights = torch.arange(1.0, 9.0)[None]
    history = History(
        states=flat[..., None],
        actions=flat,
        rewards=flat.float(),
        next_states=flat[..., None],
        times=torch.arange(8)[None],
        valid=valid,
        attention=weights,
    )
    options: dict = {"attention": {"sample": True, "temperature": 2.0}, "exponential_decay": {"sample": True}}
    newest_is_kept = compressors()[name].keeps_newest
    length = 1 + newest_is_kept
    counts = torch.zeros(8)
    for seed in range(2000):
        compressor = make_compressor(name, {"target_length": length, "seed": seed, **options.get(name, {})})
        counts[compressor.select(history).indices] += 1
    expected = {
        "random": torch.ones(8),
        "random_without_newest": torch.ones(8),
        "attention": weights[0] ** 0.5,
        "exponential_decay": torch.exp(-0.5 * 2 * (7 - torch.arange(8.0)) / 8),
    }[name]
    if newest_is_kept:
        assert counts[7] == 2000
        counts, expected = counts[:7], expected[:7]
    expected = expected / expected.sum() * 2000
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 30, "one in 10,000 for seven degrees of freedom"


@pytest.mark.parametrize("name", sorted(compressors()))
def test_a_length_for_each(name: str) -> None:
    cls = compressors()[name]
    for length in (1, 2, 32):
        compressor = cls.of_length(length)
        assert compressor.max_length == length == getattr(compressor, cls.length_option)
    with pytest.raises(InputError, match=f"expected `{cls.length_option}` to be an integer of 1 or more, got 0"):
        cls.of_length(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecencyCompressor(0), "expected `keep_recent` to be an integer of 1 or more, got 0"),
        (
            lambda: AttentionBasedCompressor(10, 0.0, True),
            "expected `temperature` to be a finite number above 0, got 0.0",
        ),
        (lambda: AttentionBasedCompressor(10, 0.5), "temperature=0.5 acts on draws alone; add sample=True"),
        (lambda: ThresholdCompressor(1.5), "expected `threshold` to be a share of attention in .*, got 1.5"),
        (lambda: ThresholdCompressor(math.nan), "expected `threshold` to be a share of attention in .*, got nan"),
        (lambda: ThresholdCompressor(0.1, 5, 4), "min_keep 5 is above max_keep 4"),
        (lambda: ThresholdCompressor(0.1, -1), "expected `min_keep` to be an integer of 0 or more, got -1"),
        (lambda: ExponentialDecayCompressor(10, 0.0), "expected `decay_rate` to be a finite number above 0, got 0.0"),
        (
            lambda: ExponentialDecayCompressor(10, math.inf),
            "expected `decay_rate` to be a finite number above 0, got inf",
        ),
        (lambda: make_compressor("recensy"), 'unknown compressor "recensy" as `compressor`, did you mean "recency"'),
        (lambda: make_compressor("recency", {"target_length": 3}), 'unknown option "target_length".*known: keep_rec'),
        (
            lambda: make_compressor("recency", {"keep_recent": "3.5"}),
            'expected keep_recent of .* to be of type int, got "3.5"',
        ),
        (lambda: make_compressor("attention", {"sample": "maybe"}), "expected sample of .* to be true or false"),
        (lambda: make_compressor("uniform", {"target_length": True}), 'of type int, got "True"'),
    ],
)
def test_values_out_of_range(make, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_wrong_types_are_one_line_where_no_test_checks_them() -> None:
    code = """
from keepmap.agents.compressors.recency import RecencyCompressor
for call in (lambda: RecencyCompressor(2.5), lambda: RecencyCompressor().compress([[[1]]], [[1]], [[1]], [[[1]]])):
    try:
        call()
    except ValueError as error:
        print(error)
"""
    done = python("-W", "error", "-c", code, cwd=Path())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "expected `keep_recent` to be an integer of 1 or more, got 2.5",
        "states are a list; give torch tensors or numpy arrays",
    ]


def test_values_may_be_text() -> None:
    compressor = make_compressor("attention", {"target_length": "5", "temperature": "2", "sample": "true", "seed": 4})
    assert compressor == AttentionBasedCompressor(5, 2.0, True, 4)


def test_shapes_that_disagree() -> None:
    states, actions, rewards, next_states = batch()
    compressor: Compressor = RecencyCompressor()
    for arrays, message in [
        ((states[0], actions[0], rewards[0], next_states[0]), r"states have the shape \(20, 2\); give \(batch"),
        ((states, actions[:, 1:], rewards, next_states), r"actions have the shape \(3, 19, 5\)"),
        ((states, actions, rewards.expand(3, 20, 2), next_states), r"rewards have the shape \(3, 20, 2\)"),
        ((states, actions, rewards, next_states[..., :1]), r"next_states have the shape \(3, 20, 1\)"),
        ((states.numpy(), actions, rewards, next_states), "states are .* numpy array and actions a tensor"),
        ((states.to(torch.complex64), actions, rewards, next_states), "states are of type torch.complex64"),
        (tuple(array.numpy().astype("U") for array in batch()), "states are of type <U"),
    ]:
        with pytest.raises(InputError, match=message):
            compressor.compress(*arrays)
    with pytest.raises(InputError, match=r"attention have the shape \(3, 19\)"):
        compressor.compress(*batch(), attention=torch.ones(3, 19))
    with pytest.raises(InputError, match="actions of a history have the shape"):
        History(
            states=states,
            actions=actions,
            rewards=rewards[..., 0],
            next_states=next_states,
            times=actions[..., 0],
            valid=actions[..., 0] > -1,
        )


def test_a_compressor_is_given_by_name_or_as_it_is():
    mine = RecencyCompressor(3)
    assert as_compressor(None) is None and as_compressor(mine) is mine
    assert as_compressor("recency") == RecencyCompressor()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            RecencyCompressor,
            "expected `keep` to be a compressor or the name of one, as RecencyCompressor(), got the class "
            "RecencyCompressor",
        ),
        (int, "expected `keep` to be a compressor or the name of one, got the class int"),
        (3, "expected `keep` to be a compressor or the name of one, got 3"),
        ({"name": "recency"}, "expected `keep` to be a compressor or the name of one, got {'name': 'recency'}"),
        ("recencey", 'unknown compressor "recencey" as `keep`, did you mean "recency"?'),
    ],
)
def test_what_is_no_compressor(value, message):
    with pytest.raises(InputError) as refused:
        as_compressor(value, "keep")
    assert str(refused.value) == message


def test_the_first_of_an_episode_may_come_after_a_gap() -> None:
    arrays, there = batch(1, 5), torch.tensor([[True, False, True, True, True]])
    for ends, kept in ([1, 0, 0, 0, 0], [2, 4]), ([0, 0, 0, 0, 0], [0, 4]):
        quiet = (arrays[0], arrays[1], arrays[2] * 0, arrays[3])
        short = make_compressor("episode_summary", {"target_length": 2}).compress(
            *quiet, mask=there, episode_ends=torch.tensor([ends])
        )
        assert short.indices[0].tolist() == kept
    with pytest.raises(InputError, match="the episode_ends holds other values than True and False"):
        make_compressor("best_episodes").compress(*arrays, episode_ends=torch.full((1, 5), 2))


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_share_is_in_0_to_1(value: float) -> None:
    with pytest.raises(InputError, match="expected `recent_share` to be in 0 to 1, got "):
        make_compressor("recency_random", {"recent_share": value})


def test_a_queue_is_cut_at_once_and_grows_again() -> None:
    compressor = make_compressor("fifo", {"target_length": 5, "drop": 3})
    held = [int(compressor.compress(*batch(1, n)).mask.sum()) for n in range(1, 14)]
    assert held == [1, 2, 3, 4, 5, 3, 4, 5, 3, 4, 5, 3, 4]
    with pytest.raises(InputError, match="drop 6 is above target_length 5; it must not be"):
        make_compressor("fifo", {"target_length": 5, "drop": 6})


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_nearest_is_to_where_the_agent_is(kind: str) -> None:
    cells = torch.tensor([[[0, 0], [0, 1], [4, 4], [3, 4], [0, 2], [8, 8]]])
    arrays: tuple = (cells, torch.zeros(1, 6), torch.zeros(1, 6), cells)
    here: object = torch.tensor([[0, 0]])
    if kind == "numpy":
        arrays, here = tuple(array.numpy() for array in arrays), here.numpy()  # type: ignore[attr-defined]
    compressor = make_compressor("nearest", {"target_length": 3})
    assert compressor.compress(*arrays, query_states=here).indices.tolist() == [[0, 1, 5]]  # type: ignore[arg-type]
    assert compressor.compress(*arrays).indices.tolist() == [[2, 3, 5]], "by default where the last one led"
    for wrong in (here[0], here[:, :1]):  # type: ignore[index]
        with pytest.raises(InputError, match=r"expected `query_states` to be .* of the shape \(1, 2\), got "):
            compressor.compress(*arrays, query_states=wrong)
