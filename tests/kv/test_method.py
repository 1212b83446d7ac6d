"""The registry of methods: order, names, and what a class has to be."""

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.kv.method import NEEDS, Received, Scored, method_class, method_names, methods
from keepmap.kv.methods.h2o import H2O


def test_methods_are_ordered_by_what_they_look_at_then_by_name():
    classes = methods()
    assert list(classes) == sorted(classes, key=lambda name: (NEEDS.index(classes[name].needs), name))
    assert method_names() == tuple(classes) and classes["h2o"] is method_class("h2o") is H2O
    assert set(keepmap.methods()) == set(classes)


def test_every_method_has_one_rule_of_its_own_and_one_way_to_score():
    for name, method in methods().items():
        assert method.name == name and issubclass(method, Scored) != issubclass(method, Received)
        assert (method.threshold is None) != (method.density is None)
        assert issubclass(method, Received) == (method.needs == "received")
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


def test_a_name_that_is_not_there_is_told_with_the_closest():
    with pytest.raises(InputError, match='did you mean "key_norm"'):
        method_class("keynorm")


def test_a_class_without_a_way_to_score_is_abstract():
    for base in (Scored, Received):
        with pytest.raises(TypeError, match="abstract"):
            base()
