"""Options to plans: rules, protection, and what is refused."""

import math
from fractions import Fraction

import numpy as np
import pytest

from keepmap.errors import InputError
from keepmap.kv.comparison.plan import plan_methods, plan_mode, validates
from keepmap.kv.method import Scored, method_class, method_names


def by_key(*arguments, **options):
    return {plan.key: plan for plan in plan_methods(*arguments, **options).methods}


@pytest.mark.parametrize(
    "methods", ["random kvzap", "random,kvzap", "random, kvzap", ["random", "kvzap"], ("random,kvzap",)]
)
def test_names_in_every_form(methods):
    assert [plan.key for plan in plan_methods(methods).methods] == ["random", "kvzap"]


def test_all_is_every_method_but_the_baseline_which_always_runs():
    assert [plan.key for plan in plan_methods("all").methods] == [name for name in method_names() if name != "baseline"]
    assert plan_methods("baseline").methods == ()
    usual = [name for name in method_names() if method_class(name).is_usual and name != "baseline"]
    assert [plan.key for plan in plan_methods().methods] == usual and "h2o" in usual and "snapkv" not in usual
    assert plan_methods("snapkv usual").methods == plan_methods(["usual", "snapkv"]).methods
    assert [plan.key for plan in plan_methods("snapkv usual").methods if plan.key not in usual] == ["snapkv"]
    groups = [plan_methods(methods).group for methods in ("usual", "all", "usual all", "h2o")]
    assert groups == ["usual", "all", "all", None]
    assert [plan.key for plan in plan_methods("h2o random h2o baseline").methods] == ["h2o", "random"]


def test_defaults_are_the_methods_own():
    for key, plan in by_key("all").items():
        method = method_class(key)
        assert (plan.threshold, plan.n_sink, plan.window) == (method.threshold, method.n_sink, method.window)
        assert plan.density == (None if method.threshold is not None else method.density)
    assert by_key("h2o")["h2o"].rule() == "density=0.15"
    assert by_key("kvzap")["kvzap"].rule() == "threshold=-5"


def test_a_density_puts_all_under_the_budget_rule_and_leaves_the_validation_out():
    plan = plan_methods("all", density=0.2)
    assert {(method.threshold, method.density) for method in plan.methods} == {(None, 0.2)}
    assert "random_validation" not in {method.key for method in plan.methods}
    assert plan.left_out == (
        "kvzap_no_sink (under `density` every method protects the same sinks, and then it is kvzap)",
        "random_validation (`density` puts every method under the budget rule)",
    )
    with pytest.raises(InputError, match="random_validation is Random with threshold 1.0, it has no budget rule"):
        plan_methods("random_validation", density=0.2)


@pytest.mark.parametrize("thresholds", ['{"kvzap": -7, "h2o": 3}', {"kvzap": -7.0, "h2o": 3.0}])
def test_thresholds_override_and_switch_the_rule(thresholds):
    plans = by_key("all", thresholds=thresholds)
    assert (plans["kvzap"].threshold, plans["h2o"].threshold, plans["h2o"].density) == (-7.0, 3.0, None)
    assert plans["kvzap_no_sink"].threshold == -5.0


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
def test_a_threshold_may_be_any_real_number(value):
    threshold = by_key("random", thresholds={"random": value})["random"].threshold
    assert (type(threshold), threshold) == (float, 0.5)


def test_sinks_and_windows():
    plans = by_key("usual", n_sink=8, window=64, h2o_local_window_size=256)
    assert {plan.n_sink for plan in plans.values()} == {0, 8}
    assert plans["kvzap_no_sink"].n_sink == plans["h2o"].n_sink == plans["observed_attention"].n_sink == 0
    assert {key: plan.window for key, plan in plans.items() if plan.window != 64} == {"h2o": 256}
    assert by_key("h2o", window=64)["h2o"].window == 512


@pytest.mark.parametrize(
    ("options", "protection"),
    [({}, (4, 128)), ({"n_sink": 0}, (0, 128)), ({"n_sink": 2, "window": 64}, (2, 64))],
)
def test_under_one_density_all_are_protected_alike(options, protection):
    class Wide(method_class("key_norm")):
        n_sink, window = 1, 32

    plans = plan_methods(["all", Wide()], density=0.2, **options).methods
    assert {(plan.n_sink, plan.window) for plan in plans} == {protection}
    assert {plan.key for plan in plans} > {"h2o", "observed_attention", "key_norm_2"}


def test_under_one_density_only_what_the_user_asks_for_is_an_exception():
    plans = by_key("h2o random kvzap kvzap_no_sink", density=0.2, window=64, h2o_local_window_size=256)
    assert {key: (plan.n_sink, plan.window) for key, plan in plans.items()} == {
        "h2o": (4, 256),
        "random": (4, 64),
        "kvzap": (4, 64),
        "kvzap_no_sink": (0, 64),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": "stream_llm"}, 'unknown method "stream_llm" in `methods`, did you mean "streaming_llm"'),
        ({"methods": "xyzzy"}, "known: adakv, all, baseline"),
        ({"methods": {"h2o": 1}}, "expected `methods` to be names and instances, got a mapping; give a list"),
        ({"methods": " , "}, "no method in `methods`; name some"),
        ({"thresholds": '{"kvzapp": 1}'}, 'unknown method "kvzapp", did you mean "kvzap"'),
        ({"methods": "random", "thresholds": '{"kvzap": 1}'}, "names kvzap, which is not run"),
        ({"thresholds": '{"kvzap": NaN}'}, "the threshold of kvzap in `thresholds` is NaN"),
        ({"thresholds": {"kvzap": math.nan}}, "the threshold of kvzap in `thresholds` is NaN"),
        ({"thresholds": '{"kvzap": "low"}'}, 'the threshold of kvzap in `thresholds` is "low"; give a number'),
        ({"thresholds": '{"kvzap": true}'}, "the threshold of kvzap in `thresholds` is true; give a number"),
        ({"thresholds": '{"kvzap": null}'}, "the threshold of kvzap in `thresholds` is null; give a number"),
        (
            {"thresholds": '{"kvzap": 1' + "0" * 400 + "}"},
            "the threshold of kvzap in `thresholds` is a number too",
        ),
        ({"thresholds": {"kvzap": np.float32("nan")}}, "the threshold of kvzap in `thresholds` is NaN"),
        ({"thresholds": "kvzap=-7"}, "`thresholds` is not JSON"),
        ({"thresholds": "[1]"}, "expected `thresholds` to be of methods by name, got a list"),
        ({"thresholds": '{"baseline": 1}'}, "the baseline keeps everything and has no threshold; leave it out"),
        ({"density": 1.5}, r"expected `density` to be a number in \[0, 1\], got 1.5"),
        ({"density": -0.1}, r"expected `density` to be a number in \[0, 1\], got -0.1"),
        ({"density": math.nan}, r"expected `density` to be a number in \[0, 1\], got nan"),
        ({"density": 0.2, "thresholds": '{"kvzap": -7}'}, "leave one of them out"),
        ({"window": -1}, "expected `window` to be an integer of 0 or more, got -1"),
        ({"h2o_local_window_size": -5}, "expected `h2o_local_window_size` to be an integer of 0 or more, got -5"),
        ({"n_sink": -1}, "expected `n_sink` to be an integer of 0 or more, got -1"),
    ],
)
def test_what_is_refused_is_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        plan_methods(options.pop("methods", "all"), **options)
    assert "\n" not in str(caught.value)


def test_a_method_without_a_rule_needs_one_before_anything_runs():
    class Ruleless(Scored):
        name, label, needs = "ruleless", "Ruleless", "position"

        def score(self, layer):
            return layer.values.norm(dim=-1)

    message = "^the method ruleless declares neither .*: give a `density`, or a threshold of it in `thresholds`, as "
    with pytest.raises(InputError, match=message + "'{\"ruleless\": 0.5}'$"):
        plan_methods([Ruleless()])
    assert plan_methods([Ruleless()], density=0.5).methods[0].density == 0.5
    assert plan_methods([Ruleless()], thresholds={"ruleless": 2}).methods[0].threshold == 2


@pytest.mark.parametrize(
    ("methods", "options", "expected"),
    [
        ("all", {}, True),
        ("streaming_llm random_validation", {"n_sink": 2, "window": 5}, True),
        ("streaming_llm", {}, False),
        ("all", {"density": 0.2}, False),
        ("all", {"thresholds": {"random_validation": 0.5}}, False),
        ("all", {"thresholds": {"streaming_llm": -1.0}}, False),
    ],
)
def test_when_streaming_must_equal_random(methods, options, expected):
    assert validates(plan_methods(methods, **options).methods) is expected


def test_who_shares_a_density_is_the_methods_own_affair_unless_it_is_said():
    plan = plan_methods("h2o adakv", density=0.2, budget_by="pyramid")
    assert [each.rule() for each in plan.methods] == ["density=0.2 by pyramid"] * 2 and plan.shared_by == "pyramid"
    assert plan_methods("adakv", density=0.2).shared_by is None
    assert plan_methods("h2o", density=0.2, budget_by=[[1, 2]]).shared_by == [[1.0, 2.0]]
    for options, message in (
        ({}, "expected `density` to be given with `budget_by`"),
        ({"density": 0.2, "mode": plan_mode()}, '`mode` to be "once" where `budget_by` is "model"'),
    ):
        with pytest.raises(InputError, match=message):
            plan_methods("h2o", budget_by="model", **options)
