"""The window of the last transitions; the cache is tested in test_decoder.py and test_rollout.py."""

import torch

from keepmap.agents.acting.memory import Window
from tests.agents.acting.steps import step


def test_the_window_holds_the_last_transitions_with_their_times() -> None:
    draw = torch.Generator().manual_seed(0)
    window = Window(1, 2, size=4, slide=2)
    steps = [step(draw, 1) for _ in range(7)]
    assert [window.add(taken) for taken in steps] == [False] * 4 + [True, False, True]
    history = window.history()
    assert history.dones is not None
    assert history.dones[0].tolist() == [bool(taken.dones[0]) for taken in steps[4:]]
    assert {bool(taken.dones[0]) for taken in steps[4:]} == {True, False}
    assert history.times.tolist() == [[4, 5, 6]]
    assert history.states[0].tolist() == [taken.states[0].tolist() for taken in steps[4:]]
    assert history.next_states[0].tolist() == [taken.next_states[0].tolist() for taken in steps[4:]]
    assert window.times_now.tolist() == [7]


def test_an_agent_that_made_no_step_grows_no_older() -> None:
    draw = torch.Generator().manual_seed(0)
    window = Window(2, 2, size=8, slide=2)
    for valid in ([True, True], [False, True], [True, False], [True, True]):
        window.add(step(draw, 2, torch.tensor(valid)))
    history = window.history()
    assert window.times_now.tolist() == [3, 3]
    assert [history.times[row, history.valid[row]].tolist() for row in range(2)] == [[0, 1, 2], [0, 1, 2]]


def test_what_was_attended_to_stands_with_the_history() -> None:
    window = Window(1, 2, size=4, slide=1)
    window.add(step(torch.Generator().manual_seed(0), 1))
    assert window.history().attention is None
    assert window.history(torch.tensor([[0.5]])).attention is not None
