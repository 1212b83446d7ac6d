"""The registry of methods: order, names, and what a class has to be."""

import pytest

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


def test_a_name_that_is_not_there_is_told_with_the_closest():
    with pytest.raises(InputError, match='did you mean "key_norm"'):
        method_class("keynorm")


def test_a_class_without_a_way_to_score_is_abstract():
    for base in (Scored, Received):
        with pytest.raises(TypeError, match="abstract"):
            base()
