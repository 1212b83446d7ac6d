"""Times of actions: each choice is measured once, and what was measured is read again."""

import pytest

import keepmap.agents.study.lives.times as module
from keepmap.agents.acting.agent import load_agent
from keepmap.agents.study.lives import measured_times, planned_lives
from keepmap.agents.study.timings import read_times
from keepmap.errors import InputError


def test_each_choice_is_measured_once(tmp_path, monkeypatch):
    measured = []

    def seconds(agent, compressor, envs):
        measured.append((type(compressor).__name__, envs))
        return 0.5 + len(measured)

    monkeypatch.setattr(module, "action_seconds", seconds)
    path, agent = tmp_path / "action_time.json", load_agent("tiny")
    plan = planned_lives("recency", (50.0,), 120)
    shares: list[float] = []
    assert measured_times(agent, plan, path, shares.append) == {"baseline": 1.5, "recency 50%": 2.5}
    assert measured == [("NoneType", 1), ("RecencyCompressor", 1)] and shares[-1] == 1.0
    more = planned_lives("recency", (50.0, 80.0), 120)
    assert measured_times(agent, more, path)["recency 80%"] == 3.5 and len(measured) == 3
    assert read_times(path) == {"baseline": 1.5, "recency 50%": 2.5, "recency 80%": 3.5}


@pytest.mark.parametrize("text", ["[]", "{", '{"baseline": 0.0}', '{"baseline": "1"}', '{"baseline": NaN}'])
def test_damaged_times_are_one_line(tmp_path, text):
    (tmp_path / "action_time.json").write_text(text)
    with pytest.raises(InputError, match=r"cannot read .*action_time.json .*; delete it to measure again"):
        read_times(tmp_path / "action_time.json")
