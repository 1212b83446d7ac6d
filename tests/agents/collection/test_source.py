"""The sources by name, and options that are refused."""

import re

import pytest

from keepmap.agents.collection.source import make_source, source_class, sources
from keepmap.agents.collection.sources.ppo import PPO
from keepmap.core.joining.options import read_options
from keepmap.errors import InputError


def test_the_registry_finds_every_file():
    assert tuple(sources()) == ("keeper", "optimistic", "ppo", "q_learning", "rmax", "seeker", "ucb")
    assert source_class("ppo") is PPO
    assert make_source("q_learning", read_options(["epsilon=0.25", "discount=0.5"])).epsilon == 0.25
    assert make_source("optimistic", {"know_moves": "True"}).know_moves is True


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("optimstic", [], 'unknown source "optimstic" as `source`, did you mean "optimistic"?'),
        ("q_learning", ["epsilom=1"], 'unknown option "epsilom" of the source q_learning, did you mean "epsilon"?'),
        ("q_learning", ["epsilon"], 'expected name=value, got the setting "epsilon"'),
        ("q_learning", ["epsilon=x"], 'expected epsilon of the source q_learning to be of type float, got "x"'),
        ("q_learning", ["discount=1.5"], "expected `discount` of q_learning to be a number in [0, 1], got 1.5"),
        ("q_learning", ["discount=nan"], "expected `discount` of q_learning to be a number in [0, 1], got nan"),
        ("q_learning", ["optimism=inf"], "expected `optimism` of q_learning to be a finite number, got inf"),
        ("optimistic", ["know_moves=1"], "expected know_moves of the source optimistic to be true or false"),
        ("optimistic", ["epsilon=-1"], "expected `epsilon` of optimistic to be a probability in [0, 1], got -1"),
        ("ppo", ["n_steps=0"], "expected `n_steps` of ppo to be 2 or more, got 0"),
        ("ppo", ["n_steps=1.5"], "expected n_steps of the source ppo to be of type int"),
        ("ppo", ["learning_rate=0"], "got learning_rate=0 and discount=0.99 for ppo"),
    ],
)
def test_options_that_cannot_be_used(name, settings, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make_source(name, read_options(settings))
