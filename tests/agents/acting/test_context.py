"""An agent's profile against the weights that its own explicit softmax shows, and where its history has episodes."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import keepmap
from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.acting.context import Context, as_context, context_at, landmarks_of
from keepmap.agents.acting.rollout import decide
from keepmap.agents.collection.dataset import Streams
from keepmap.agents.history import History
from keepmap.attention.landmarks import Landmarks
from keepmap.attention.profile import AttentionProfile
from keepmap.errors import InputError
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("runs") / "one"))


def history_of(n: int, seed: int = 0, start: int = 0, valid: list[int] | None = None) -> History:
    draw = torch.Generator().manual_seed(seed)
    states, next_states = (torch.randint(3, (1, n, 2), generator=draw) for _ in range(2))
    mask = torch.ones(1, n, dtype=torch.bool)
    if valid is not None:
        mask[:] = False
        mask[0, valid] = True
    return History(
        states=states,
        actions=torch.randint(5, (1, n), generator=draw),
        rewards=torch.randint(2, (1, n), generator=draw).float(),
        next_states=next_states,
        times=torch.arange(start, start + n)[None],
        valid=mask,
    )


def seen_by_the_query(agent: Agent, history: History, query: Tensor) -> Tensor:
    """[L, H, n + 1]: the model's own explicit softmax."""
    rows: list[Tensor] = []
    with torch.no_grad():
        decide(agent.model, history, query, history.times[:, -1] + 1, lambda seen: rows.append(seen[0, :, -1]))
    return torch.stack(rows)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 20), seed=st.integers(0, 99), start=st.integers(0, 1000))
def test_the_query_s_row_is_the_model_s_own(agent: Agent, n: int, seed: int, start: int) -> None:
    history, query = history_of(n, seed, start), torch.tensor([[2, 1]])
    profile = keepmap.profile_attention(agent, (history, query))
    assert profile.shape == (2, 2, n + 1)
    assert torch.allclose(profile.rows[:, :, 0], seen_by_the_query(agent, history, query), atol=1e-6)
    assert torch.allclose(profile.rows[:, :, 0, :-1].mean((0, 1)), agent.attention(history, query)[0], atol=1e-6)


def test_all_rows_are_causal_and_the_model_s_own(agent: Agent) -> None:
    history, query = history_of(9), torch.tensor([[0, 2]])
    profile = keepmap.profile_attention(agent, (history, query), queries=[3, 9])
    rows: list[Tensor] = []
    with torch.no_grad():
        decide(agent.model, history, query, torch.tensor([9]), lambda seen: rows.append(seen[0]))
    assert torch.allclose(profile.rows[0, :, 0], rows[0][:, 3], atol=1e-6)
    assert (profile.rows[:, :, 0, 4:] == 0).all()


def test_transitions_that_are_not_valid_are_left_out(agent: Agent) -> None:
    whole, query = history_of(8, valid=[0, 2, 3, 7]), torch.tensor([[1, 1]])
    short = whole.map(lambda part: part[:, [0, 2, 3, 7]])
    ours, other = (keepmap.profile_attention(agent, (history, query)) for history in (whole, short))
    assert ours.shape[2] == 5
    assert torch.equal(ours.rows, other.rows)
    expected = seen_by_the_query(agent, whole, query)[..., [0, 2, 3, 7, 8]]
    assert torch.allclose(ours.rows[:, :, 0], expected, atol=1e-6)


def test_alone_a_history_is_asked_from_where_it_led(agent: Agent) -> None:
    history = history_of(8)
    alone = keepmap.profile_attention(agent, history)
    assert torch.equal(alone.rows, keepmap.profile_attention(agent, (history, history.next_states[:, -1])).rows)


def test_a_context_is_looked_at_as_its_parts_are(agent: Agent) -> None:
    history, query, now = history_of(7, valid=[0, 1, 4]), torch.tensor([[1, 0]]), torch.tensor([9])
    ours = keepmap.profile_attention(agent, Context(history, query, now, goal=(1, 1), step=9))
    parts = keepmap.profile_attention(agent, (history, query, now))
    assert torch.equal(ours.rows, parts.rows)
    assert ours.landmarks == parts.landmarks
    assert ours.shape[2] == 4


def test_the_query_may_come_later_than_what_is_left_of_the_history(agent: Agent) -> None:
    history, query, now = history_of(4), torch.tensor([[1, 1]]), torch.tensor([9])
    profile = keepmap.profile_attention(agent, (history, query, now))
    rows: list[Tensor] = []
    with torch.no_grad():
        decide(agent.model, history, query, now, lambda seen: rows.append(seen[0, :, -1]))
    assert torch.allclose(profile.rows[:, :, 0], torch.stack(rows), atol=1e-6)
    assert profile.labels is not None
    assert profile.labels[-2:] == ("(1, 4)", "(2, 4)")


def test_landmarks_and_labels(agent: Agent) -> None:
    profile = keepmap.profile_attention(agent, (history_of(8, start=4), torch.tensor([[1, 1]])))
    assert profile.landmarks is not None
    assert profile.landmarks.episodes == (1, 1, 2, 2, 2, 2, 2, 2, 3)
    assert profile.landmarks.steps == (5, 6, 1, 2, 3, 4, 5, 6, 1)
    assert profile.landmarks.rewards == (*map(float, history_of(8).rewards[0]), None)
    assert profile.labels is not None
    assert profile.labels[:3] == ("(1, 5)", "(1, 6)", "(2, 1)")


def test_episodes_of_other_lengths_are_counted_where_they_end() -> None:
    dones = torch.tensor([[False, True, False, False, True, False]])
    history = dataclasses.replace(history_of(6, start=30), dones=dones)
    result = landmarks_of(as_context(history, 20), 20)
    assert result.episodes == (1, 1, 2, 2, 2, 3, 3)
    assert result.steps == (1, 2, 1, 2, 3, 1, 2)


def test_landmarks_are_saved(agent: Agent, tmp_path) -> None:
    profile = keepmap.profile_attention(agent, (history_of(5), torch.tensor([[1, 1]])))
    profile.save(tmp_path / "profile.safetensors")
    assert AttentionProfile.load(tmp_path / "profile.safetensors").landmarks == profile.landmarks
    assert isinstance(profile.landmarks, Landmarks)


@pytest.mark.parametrize(
    ("looked", "message"),
    [
        ("a word", "expected `inputs` to be a History of one row, (history, query_states) or a Context, got str"),
        ((history_of(6), "here"), "or a Context, got (History, str)"),
        (history_of(6), "ended an episode, so where it led is not where the agent is; give (history, query_states)"),
        (history_of(0), "an empty history was given without the state that the agent is in; give both"),
        ((history_of(3), torch.tensor([[7, 1]])), "query states hold 1 to 7; the agent knows 0 to 2"),
        ((history_of(0), torch.tensor([[1, 1]])), "1 token"),
    ],
    ids=["word", "word in a pair", "ended", "empty", "state", "alone"],
)
def test_what_cannot_be_looked_at(agent: Agent, looked: object, message: str) -> None:
    if message == "1 token":
        with pytest.raises(InputError):
            keepmap.profile_attention(agent, looked)
        return
    with pytest.raises(InputError) as error:
        keepmap.profile_attention(agent, looked)
    assert message in str(error.value)


def test_two_histories_are_not_one(agent: Agent) -> None:
    two = history_of(4).map(lambda part: torch.cat([part, part]))
    with pytest.raises(InputError, match="expected `inputs` to be one history, got 2"):
        keepmap.profile_attention(agent, two)


def streams(steps: int = 12, learners: int = 2) -> Streams:
    draw = np.random.default_rng(0)
    states, after = (draw.integers(0, 3, (steps, learners, 2), dtype=np.uint8) for _ in range(2))
    actions, rewards = (draw.integers(0, 2, (steps, learners), dtype=np.uint8) for _ in range(2))
    dones = np.zeros((steps, learners), dtype=np.bool_)
    dones[5::6] = True
    return Streams(states, actions, rewards, after, dones)


def test_a_context_is_what_lies_before_a_step() -> None:
    lived = streams()
    context = context_at(lived, 1, 8, 5, (1, 2))
    assert context.history.times.tolist() == [[3, 4, 5, 6, 7]]
    assert np.array_equal(context.history.states[0].numpy(), lived.states[3:8, 1])
    assert np.array_equal(context.history.next_states[0].numpy(), lived.next_states[3:8, 1])
    assert context.history.dones is not None
    assert context.history.dones.tolist() == [[False, False, True, False, False]]
    assert context.query_states.tolist() == [lived.states[8, 1].tolist()]
    assert context.action == lived.actions[8, 1]
    assert repr(context).endswith("with dones), goal=(1, 2), learner=1, step=8, action=" + f"{context.action})")
    assert context_at(lived, 0, 2, 5, (1, 2)).history.times.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("learner", "step", "message"),
    [(0, 0, "1 to 11, .* have a history before them, got 0"), (0, 12, "before them, got 12"), (2, 3, "0 to 1, got 2")],
)
def test_contexts_that_are_not_there(learner: int, step: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        context_at(streams(), learner, step, 5, (1, 2))


def streams_of_13_steps() -> Streams:
    """Two learners of 13 steps in episodes of 5; every value says where and when it was."""
    steps = np.arange(13, dtype=np.uint8)
    states = np.stack([np.stack([steps, steps * 0 + learner], 1) for learner in range(2)], 1)
    actions = np.stack([steps % 5, (steps + 1) % 5], 1)
    dones = np.zeros((13, 2), dtype=np.bool_)
    dones[4::5] = True
    return Streams(states, actions, actions % 2, states + 1, dones)


@pytest.mark.parametrize(("step", "times"), [(1, [0]), (4, [0, 1, 2, 3]), (5, [1, 2, 3, 4]), (12, [8, 9, 10, 11])])
def test_a_context_ends_right_before_its_step(step: int, times: list[int]) -> None:
    context = context_at(streams_of_13_steps(), 1, step, 4, (0, 0))
    assert context.history.times[0].tolist() == times
    assert context.history.states[0].tolist() == [[time, 1] for time in times]
    assert context.query_states.tolist() == [[step, 1]]
    assert context.action == (step + 1) % 5
    assert bool(context.history.dones[0, -1]) == (step % 5 == 0)
    for wrong in (0, 13):
        with pytest.raises(InputError, match=f"expected `step` to be 1 to 12, .*, got {wrong}"):
            context_at(streams_of_13_steps(), 1, wrong, 4, (0, 0))


def history(ends: list[bool], start: int = 0) -> History:
    n = len(ends)
    states = torch.zeros(1, n, 2, dtype=torch.int64)
    return History(
        states=states,
        actions=torch.zeros(1, n, dtype=torch.int64),
        rewards=torch.arange(n)[None].float(),
        next_states=states,
        times=torch.arange(start, start + n)[None],
        valid=torch.ones(1, n, dtype=torch.bool),
        dones=torch.tensor([ends], dtype=torch.bool),
    )


@pytest.mark.parametrize(
    ("ends", "start", "episodes", "steps"),
    [
        ([False, False, True, False], 0, (1, 1, 1, 2, 2), (1, 2, 3, 1, 2)),
        ([False, True, False], 4, (2, 2, 3, 3), (2, 3, 1, 2)),
        ([False, True, True, False], 0, (1, 1, 2, 3, 3), (1, 2, 1, 1, 2)),
        ([True, False, False], 1, (1, 2, 2, 2), (1, 1, 2, 3)),
    ],
)
def test_episodes_and_steps_count_from_1_and_go_on_at_the_query(
    ends: list[bool], start: int, episodes: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    result = landmarks_of(as_context(history(ends, start), 3), 3)
    assert (result.episodes, result.steps) == (episodes, steps)
    assert result.rewards == (*map(float, range(len(ends))), None)


def test_a_query_comes_one_step_after_its_history() -> None:
    assert as_context(history([False] * 3, 7), 6).now.tolist() == [10]
    empty = as_context((history([]), torch.tensor([[0, 0]])), 6)
    assert empty.now.tolist() == [0]
    query = torch.tensor([[1, 1]])
    result = landmarks_of(as_context((history([False, True]), query), 2), 2)
    assert (result.episodes, result.steps) == ((1, 1, 2), (1, 2, 1))


def test_beside_a_context_a_name_is_an_agent_s() -> None:
    context = Context(history_of(5), torch.tensor([[2, 1]]), torch.tensor([5]))
    named, loaded = (keepmap.profile_attention(agent, context) for agent in ("tiny", keepmap.load_agent("tiny")))
    assert torch.equal(named.received, loaded.received) and named.shape == loaded.shape


def test_a_context_is_taken_from_a_file_of_histories(tmp_path) -> None:
    histories = keepmap.collect("darkroom", size=3, learners=2, episodes=2, out=tmp_path / "small.hdf5")
    for position, goal in enumerate(histories.goals):
        from_file, from_streams = (
            context_at(source, learner=1, step=30, most=20, goal=goal) for source in (histories, histories[position])
        )
        assert repr(from_file) == repr(from_streams)
        assert torch.equal(from_file.history.states, from_streams.history.states)
    with pytest.raises(InputError, match="expected `goal` to be one of the histories', got \\(9, 9\\)"):
        context_at(histories, learner=1, step=30, most=20, goal=(9, 9))
