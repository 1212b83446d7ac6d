"""The front door: defaults, rules and options. (What it computes: conformance.)"""

import math
from typing import Any

import pytest
import torch

from keepmap.errors import ImpossibleResultError, InputError
from keepmap.kv.choosing import Budget, Threshold
from keepmap.kv.eviction.evict import evict, rule_for
from keepmap.kv.method import LayerInput, Scored, method_class
from keepmap.language_model import load_language_model
from tests.families import build, tokens


@pytest.mark.parametrize(
    ("method", "options", "rule"),
    [
        ("random", {}, Threshold(0.85)),
        ("h2o", {}, Budget(density=0.15)),
        ("h2o", {"threshold": 2.0}, Threshold(2.0)),
        ("random", {"density": 1.0}, Budget(density=1.0)),
        ("random", {"budget": 7}, Budget(count=7)),
        ("baseline", {"density": 1.0}, Threshold(-math.inf)),
    ],
    ids=str,
)
def test_the_rule_is_the_one_given_or_the_methods_own(method, options, rule):
    assert rule_for(method_class(method), **options) == rule


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("random", {"density": 0.5, "budget": 3}, "expected one rule, got `density` and `budget`"),
        ("baseline", {"density": 0.5}, "leave `density` out"),
        ("baseline", {"budget": 3}, "leave `budget` out"),
        ("random", {"threshold": math.nan}, "`threshold`"),
        ("random", {"density": 1.1}, r"`density` to be a number in \[0, 1\]"),
    ],
    ids=str,
)
def test_rules_that_make_no_sense_are_one_line(method, options, message):
    with pytest.raises(InputError, match=message):
        rule_for(method_class(method), **options)


def test_protection_is_the_methods_own_unless_another_is_given():
    language_model = load_language_model(build("llama"))
    own = evict(language_model, tokens(20), "h2o").keep_map
    assert (own.n_sink, own.window) == (0, 512)
    given = evict(language_model, tokens(20), "h2o", n_sink=1, window=3, density=0.0)
    keep_map = given.keep_map
    assert (keep_map.n_sink, keep_map.window) == (1, 3)
    # Nothing of what left the window may be held: sinks and window stay, everything else goes as it leaves.
    expected = (torch.arange(20) + 4).clamp(max=20)
    expected[0] = 20
    assert torch.equal(keep_map.expires, expected.expand(2, 2, 20))
    assert keep_map.kept()[0, 0].nonzero().flatten().tolist() == [0, 17, 18, 19]
    assert given.felt


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        (5, "got an int"),
        (None, "got None"),
        (torch.zeros(3), "of (3,)"),
        (torch.zeros(4, 40, 16), "of (4, 40, 16)"),
        (torch.zeros(4, 40, dtype=torch.int64), "int64"),
    ],
    ids=["a number", "nothing", "another length", "a number too many", "integers"],
)
@pytest.mark.usefixtures("unchecked")
def test_a_method_of_ones_own_is_told_what_is_wrong_with_its_scores(scores: object, shown: str) -> None:
    class Mine(Scored):
        """A method whose scores are none."""

        name = "mine"
        label = "Mine"
        needs = "position"
        density = 0.2

        def score(self, layer: LayerInput) -> Any:
            return scores

    with pytest.raises(InputError, match="expected the score of method mine to be a float tensor") as raised:
        evict("tiny", list(range(40)), Mine())
    assert shown in str(raised.value)


def test_a_nan_score_names_its_method() -> None:
    class Mine(Scored):
        """A method whose scores are NaN."""

        name = "mine"
        label = "Mine"
        needs = "position"
        density = 0.2

        def score(self, layer: LayerInput) -> Any:
            return torch.full((4, 40), torch.nan)

    with pytest.raises(ImpossibleResultError, match="^a score of the method mine is NaN in layer 0: its `score`, "):
        evict("tiny", list(range(40)), Mine())


def test_progress_is_told_after_each_layer():
    shares: list[float] = []
    evict("tiny", "The code of river is 4821. " * 4, "random", progress=shares.append)
    assert shares == [0.5, 1.0]
