"""What is seen of a compressor while an agent acts, and that being seen changes nothing."""

from dataclasses import replace

import pytest

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.first_and_recent import FirstAndRecentCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.compressors.threshold import ThresholdCompressor
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.study.attention_change import moments
from keepmap.agents.study.tally import Tally, watched
from tests.agents.checkpoint_folders import write_agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return load_agent(write_agent(tmp_path_factory.mktemp("run"), split="0/3"))


@pytest.mark.parametrize("inner", [RecencyCompressor(3), ThresholdCompressor(0.2, 0, 4), AttentionBasedCompressor(2)])
def test_watching_changes_nothing_and_counts_all(agent: Agent, inner: Compressor) -> None:
    tally, room = Tally(), agent.room
    envs = RoomVectorEnv(room, 3, room.goals[:3])
    returns = agent.play(envs, 4, compressor=watched(inner, tally.see))
    assert (returns == agent.play(envs, 4, compressor=inner)).all()
    steps = 4 * room.horizon
    assert sum(tally.kept.values()) == 3 * steps
    assert max(tally.kept) == inner.max_length or inner.name == "threshold"
    # Windows of 12 that slide by 1.
    assert tally.length == 3 * sum(min(step, 12) for step in range(steps))
    assert sum(tally.computed.values()) == 3 * steps and max(tally.computed) == max(tally.kept)
    if inner.name == "recency":
        assert tally.computed == tally.kept == {0: 3, 1: 3, 2: 3, 3: 3 * (steps - 3)}


def test_all_of_a_life_counts_where_what_is_held_is_of_all_of_it(agent: Agent) -> None:
    inner, tally, room = FirstAndRecentCompressor(3, 1), Tally(whole_life=True), agent.room
    envs = RoomVectorEnv(room, 2, room.goals[:2])
    returns = agent.play(envs, 4, compressor=watched(inner, tally.see))
    assert (returns == agent.play(envs, 4, compressor=inner)).all(), "the watched one remembers, too"
    steps = 4 * room.horizon
    assert tally.length == 2 * sum(range(steps))
    assert tally.shown == {0: 2, 1: 2, 2: 2, 3: 2, 4: 2 * (steps - 4)}
    assert tally.kept == {0: 2, 1: 2, 2: 2, 3: 2 * (steps - 3)}


def test_places_without_a_transition_are_not_counted(agent: Agent) -> None:
    history, tally = moments(agent)[0].history, Tally()
    valid = history.valid.clone()
    valid[0, :7] = False
    holes = replace(history, valid=valid)
    tally.see(holes, RecencyCompressor(4).select(holes))
    rows, n = valid.shape
    assert tally.length == rows * n - 7
    assert tally.kept == {2: 1, 4: rows - 1} and tally.computed == {4: rows}
