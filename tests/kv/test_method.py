"""The registry of methods: order, names, and what a class has to be."""

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.kv.method import (
    NEEDS,
    HeldInput,
    Moments,
    Received,
    Reviewed,
    Scored,
    method_class,
    method_names,
    methods,
)
from keepmap.kv.methods.caote import CAOTE
from keepmap.kv.methods.h2o import H2O
from keepmap.kv.methods.lagkv import LagKV
from keepmap.kv.methods.tova import TOVA

COVERS = ("keepmap.kv.given",)


def test_methods_are_ordered_by_what_they_look_at_then_by_name():
    classes = methods()
    assert list(classes) == sorted(classes, key=lambda name: (NEEDS.index(classes[name].needs), name))
    assert method_names() == tuple(classes) and classes["h2o"] is method_class("h2o") is H2O
    assert set(keepmap.methods()) == set(classes)


def test_every_method_has_one_rule_of_its_own_and_one_way_to_score():
    for name, method in methods().items():
        assert method.name == name and sum(issubclass(method, kind) for kind in (Scored, Received, Reviewed)) == 1
        assert (method.threshold is None) != (method.density is None)
        assert issubclass(method, Received) == (method.needs == "received")
        if method.needs != "future":
            assert issubclass(method, Reviewed) == (method.needs in ("held", "window"))
        assert method.n_sink >= 0 and method.window >= 0 and method.label


def test_what_compiled_code_takes_a_score_to_be_is_what_it_is():
    total, queries = torch.rand(2, 9, dtype=torch.float64), torch.arange(1, 10)[None]
    flagged = [method for method in methods().values() if issubclass(method, Received) and method.averages is not None]
    assert len(flagged) >= 2
    for method in flagged:
        assert torch.equal(method().score(total, queries), total / queries if method.averages else total)


def test_a_subclass_with_a_score_of_its_own_is_called():
    class Mine(H2O):
        def score(self, total, queries):
            return -total

    class Renamed(H2O):
        name = "renamed"

    class Told(H2O):
        averages = True

        def score(self, total, queries):
            return total / queries

    assert (Mine.averages, Renamed.averages, Told.averages) == (None, False, True)

    class Looking(TOVA):
        def score(self, held):
            return held.values.norm(dim=-1)

    class Called(TOVA):
        name = "called"

    assert Looking.needs_values and Looking.needs_hidden and not (Called.needs_values or Called.needs_hidden)


def reviewed() -> list[Reviewed]:
    usual = [
        LagKV(6) if method is LagKV else method()
        for method in methods().values()
        if issubclass(method, Reviewed) and method.needs != "future"
    ]
    return [*usual, CAOTE("tova"), CAOTE("dropkv")]


@pytest.mark.parametrize("method", reviewed(), ids=lambda method: method.label)
def test_what_a_method_says_that_it_does_not_look_at_changes_no_score(method: Reviewed) -> None:
    generator = torch.Generator().manual_seed(0)
    keys, values = torch.randn(2, 2, 60, 8, generator=generator)
    queries = min(60, method.observes)
    given = {
        "layer": 0,
        "step": 59,
        "positions": torch.arange(60).expand(2, -1),
        "queries": torch.randn(4, queries, 8, generator=generator),
        "sees_from": torch.arange(60 - queries, 60) - 9,  # the oldest of 32 sees from 19 on
        "scaling": 0.4,
        "moments": Moments(torch.zeros(4, 8).double(), torch.eye(8).double().expand(4, -1, -1)),
        "capacity": torch.tensor([20, 20]),
        "window": 2,
    }
    hidden = (torch.arange(60) < 60 - queries - 9)[:, None]

    def scores(keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        given["norms"] = norms
        return method.score(HeldInput(keys=keys, values=values, **given))

    norms = values.abs().sum(dim=-1)
    expected = scores(keys, values)
    without_hidden = scores(keys.masked_fill(hidden, 0.0), values.masked_fill(hidden, 0.0))
    assert torch.equal(without_hidden, expected) or method.needs_hidden
    norms = norms.masked_fill(hidden[:, 0], 0.0)
    without_hidden = scores(keys.masked_fill(hidden, 0.0), values.masked_fill(hidden, 0.0))
    assert not (torch.equal(without_hidden, expected) and method.needs_hidden), "it could say so"
    norms = values.abs().sum(dim=-1)
    assert torch.equal(scores(keys, torch.zeros_like(values)), expected) != method.needs_values


def test_a_name_that_is_not_there_is_told_with_the_closest():
    with pytest.raises(InputError, match='did you mean "key_norm"'):
        method_class("keynorm")


def test_a_class_without_a_way_to_score_is_abstract():
    for base in (Scored, Received, Reviewed):
        with pytest.raises(TypeError, match="abstract"):
            base()


def held_input(**changed: object) -> HeldInput:
    """Two KV heads of two query heads; the second one holds an entry less. Queries 5..7 observe."""
    drawn = torch.Generator().manual_seed(3)
    keys = torch.randn(2, 4, 6, generator=drawn, dtype=torch.float64)
    keys[1, 3] = 0
    values = {
        "layer": 0,
        "step": 7,
        "positions": torch.tensor([[0, 2, 6, 7], [1, 5, 7, -1]]),
        "keys": keys,
        "values": keys,
        "queries": torch.randn(4, 3, 6, generator=drawn, dtype=torch.float64),
        "sees_from": torch.tensor([0, 1, 2]),
        "scaling": 0.5,
    }
    return HeldInput(**(values | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{}, {"softcap": 1.5}, {"sinks": torch.tensor([0.3, -1.0, 0.0, 2.0])}], ids=str)
def test_attention_is_a_softmax_over_what_is_held_and_seen(given: dict[str, object]) -> None:
    held = held_input(**given)
    assert held.observers.tolist() == [5, 6, 7] and held.is_held.sum() == 7
    for head in range(4):
        for at, (query, oldest) in enumerate(((5, 0), (6, 1), (7, 2))):
            weights = []
            for place, j in enumerate(held.positions[head // 2].tolist()):
                logit = 0.5 * float(held.queries[head, at] @ held.keys[head // 2, place])
                logit = 1.5 * float(torch.tanh(torch.tensor(logit / 1.5).double())) if held.softcap else logit
                weights.append(torch.tensor(logit).double().exp() if j >= 0 and oldest <= j <= query else 0.0)
            total = sum(weights) + (0 if held.sinks is None else float(held.sinks[head].double().exp()))
            expected = torch.tensor([float(weight) / float(total) for weight in weights], dtype=torch.float64)
            torch.testing.assert_close(held.attention[head, at], expected, rtol=1e-6, atol=1e-9)


def test_a_query_that_sees_nothing_of_what_is_held_gives_nothing() -> None:
    assert not held_input(sees_from=torch.tensor([8, 8, 8])).attention.any()
