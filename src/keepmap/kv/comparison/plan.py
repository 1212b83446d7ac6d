"""Which methods a comparison runs, each with its rule and protection: options checked before a model is loaded."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from keepmap.core.arguments import as_integer, as_size, shown
from keepmap.errors import InputError, did_you_mean, kind_of
from keepmap.kv.budgets import Budget, Spread, as_json, as_spread, spread_name
from keepmap.kv.method import Method, check_method, method_class, method_names, methods
from keepmap.kv.modes import Mode, as_mode

__all__ = ["BASELINE", "MethodPlan", "Plan", "plan_methods", "plan_mode", "validates"]

BASELINE = "baseline"
HALF = 0.5
"""The share of each text that is the context in mode "once"."""
STREAMING, VALIDATION, SINKLESS = "streaming_llm", "random_validation", "kvzap_no_sink"
LEFT_OUT = {
    VALIDATION: "`density` puts every method under the budget rule",
    SINKLESS: "under `density` every method protects the same sinks, and then it is kvzap",
}
"""What `density` leaves out of "all", and why."""
GROUPS = ("usual", "all")
"""What stands for several names: the methods that are run where none is named, and every one."""
EXAMPLE = "'{\"kvzap\": -7}'"


@dataclass(frozen=True, kw_only=True)
class MethodPlan:
    """One method with the rule that decides (a threshold, or else a density) and what is protected.

    Attributes:
        key: its name in results and files. label: its name in tables.
        instance: the method itself where one was given; None where its name was.
        budget_by: who shares the budget, None where that is the method's own affair.
    """

    key: str
    label: str
    threshold: float | None
    density: float | None
    n_sink: int
    window: int
    instance: Method | None = None
    budget_by: Spread | None = None

    def rule(self) -> str:
        """The rule as tables and headers print it: "density=0.2"."""
        if self.density is None:
            return f"threshold={self.threshold:g}"
        return f"density={self.density:g}{'' if self.budget_by is None else f' by {spread_name(self.budget_by)}'}"


@dataclass(frozen=True)
class Plan:
    """The methods beside the baseline, in the order of the request.

    Attributes:
        group: which of `GROUPS` was asked for, if one was. left_out: what of it does not take part, and why.
    """

    methods: tuple[MethodPlan, ...]
    group: str | None
    left_out: tuple[str, ...]

    @property
    def shared_by(self) -> object:
        """Who shares the budget, as a JSON value; None where that is each method's own affair."""
        spreads = [plan.budget_by for plan in self.methods if plan.budget_by is not None]
        return as_json(spreads[0]) if spreads else None


def plan_methods(
    methods: Any = "usual",
    *,
    thresholds: str | Mapping[str, float | Real] | None = None,
    density: float | None = None,
    n_sink: int | None = None,
    window: int = Method.window,
    h2o_local_window_size: int | None = None,
    budget_by: object = None,
    mode: Mode | None = None,
) -> Plan:
    """Turn the options into one plan per method.

    Args:
        methods: names and instances; names may be separated by commas or spaces in one string. "all" for every method,
            "usual" for those that a comparison runs where none is named.
        thresholds: name -> threshold, or the same as JSON; such a method runs under the threshold rule.
        density: puts every method under the budget rule at this density, and under the same protection: `n_sink` (4
            where it is None) and `window`. Only `h2o_local_window_size`, where it is given, and `kvzap_no_sink`, where
            it is named, make an exception.
        n_sink: for the methods that have sinks by default.
        window: for the methods that declare no window of their own.
        h2o_local_window_size: for the methods whose `window_option` has this name.
        budget_by: who shares the budget that `density` gives, as in `evict`, whatever the methods' own is.
        mode: when it is decided, where that is to fit `budget_by`.

    Raises:
        InputError: an unknown method, one without a rule, or a number that no rule can work with.
    """
    chosen, group = _chosen(methods)
    limits = _thresholds(thresholds, chosen)
    if density is not None:
        Budget(density=density)
        if limits:
            raise InputError(
                f"expected either `thresholds` or `density`, got a threshold for {next(iter(limits))} and "
                f"density={density:g}; `density` puts every method under the budget rule, so leave one of them out"
            )
    spread = None if budget_by is None else as_spread(budget_by, density)
    if spread is not None and density is None:
        raise InputError("expected `density` to be given with `budget_by`, which says who shares it, got none")
    if spread == "model" and mode is not None and mode.name != "once":
        raise InputError(
            f'expected `mode` to be "once" where `budget_by` is "model", got "{mode.name}"; spread the budget by '
            "layer, or cut once"
        )
    n_sink = None if n_sink is None else as_size("n_sink", n_sink)
    windows = {"window": window, "h2o_local_window_size": h2o_local_window_size}
    windows = {name: None if size is None else as_size(name, size) for name, size in windows.items()}
    plans: list[MethodPlan] = []
    left_out: list[str] = []
    for key, method in chosen.items():
        if density is not None and key in LEFT_OUT and group is not None:
            left_out.append(f"{key} ({LEFT_OUT[key]})")
            continue
        if density is not None and key == VALIDATION:
            raise InputError(f"{key} is Random with threshold 1.0, it has no budget rule; leave it out with `density`")
        plans.append(replace(_plan(key, method, limits.get(key), density, n_sink, windows), budget_by=spread))
    return Plan(tuple(plans), group, tuple(left_out))


def plan_mode(
    mode: str | None = None, chunk_size: int = 1, context_length: int | float | None = None, interval: int = 1
) -> Mode:
    """When decisions fall, checked before a model is loaded; a context is half of each text where nothing else is said.

    Raises:
        InputError: an unknown mode, or a number that it does not take.
    """
    if as_integer("chunk_size", chunk_size, at_least=-(2**63), at_most=None) < 1:
        raise InputError(f"expected `chunk_size` to be 1 query or more (1 is exact decoding), got {chunk_size}")
    planned = as_mode(mode, chunk_size, context_length, interval, shares=True)
    if planned.name == "once" and planned.context_length is None:
        return replace(planned, context_length=HALF)
    return planned


def validates(plans: Sequence[MethodPlan]) -> bool:
    """Whether StreamingLLM and Random(threshold=1.0) both run as they are, so that their results must be equal."""
    by_key = {plan.key: plan for plan in plans if plan.instance is None}
    if not by_key.keys() >= {STREAMING, VALIDATION}:
        return False
    streaming, random = by_key[STREAMING], by_key[VALIDATION]
    return (
        streaming.threshold == method_class(STREAMING).threshold
        and random.threshold == method_class(VALIDATION).threshold
        and (streaming.n_sink, streaming.window) == (random.n_sink, random.window)
    )


def _plan(
    key: str,
    method: Method | type[Method],
    threshold: float | None,
    density: float | None,
    n_sink: int | None,
    windows: Mapping[str, int | None],
) -> MethodPlan:
    # Memory that is protected is memory: what one density compares has one protection.
    alike = density is not None and method.name != SINKLESS
    if threshold is None and density is None:
        threshold, density = method.threshold, None if method.threshold is not None else method.density
        if threshold is None and density is None:
            raise InputError(
                f"the method {key} declares neither a threshold nor a density: give a `density`, or a threshold of it "
                f"in `thresholds`, as '{{\"{key}\": 0.5}}'"
            )
    # A window that a method declares for itself is part of the method; an option of its own may still change it.
    option = method.window_option or ("window" if method.window == Method.window else None)
    size = None if option is None else windows.get(option)
    if alike:
        n_sink = Method.n_sink if n_sink is None else n_sink
        size = windows["window"] if size is None else size
    return MethodPlan(
        key=key,
        # Of several methods of one name, the key says which.
        label=method.label + key.removeprefix(method.name).replace("_", " "),
        threshold=threshold,
        density=density,
        n_sink=n_sink if n_sink is not None and (alike or method.n_sink > 0) else method.n_sink,
        window=method.window if size is None else size,
        instance=method if isinstance(method, Method) else None,
    )


def _chosen(given: Any) -> tuple[dict[str, Method | type[Method]], str | None]:
    """Key -> method without the baseline, which always runs, each name once; and which group is among them."""
    if isinstance(given, Mapping):
        raise InputError(
            "expected `methods` to be names and instances, got a mapping; give a list, and thresholds by `thresholds`"
        )
    if isinstance(given, str | Method | type) or not isinstance(given, Iterable):
        given = [given]
    parts = [part for item in given for part in (item.replace(",", " ").split() if isinstance(item, str) else [item])]
    if not parts:
        raise InputError(f'no method in `methods`; name some, or all of them with methods="all": {_known()}')
    for part in parts:
        _check_method(part)
    group = next((group for group in reversed(GROUPS) if group in parts), None)
    if group is not None:
        named = [name for name, method in methods().items() if group == "all" or method.is_usual or name in parts]
        parts = [*named, *(part for part in parts if isinstance(part, Method))]
    chosen: dict[str, Method | type[Method]] = {}
    for part in parts:
        if isinstance(part, Method):
            chosen[_free_key(part.name, {*chosen, *(name for name in parts if isinstance(name, str))})] = part
        elif part != BASELINE:
            chosen[part] = method_class(part)
    return chosen, group


def _check_method(method: object) -> None:
    if isinstance(method, str):
        if method not in (*method_names(), *GROUPS):
            raise InputError(
                f'unknown method "{method}" in `methods`, {did_you_mean(method, (*method_names(), *GROUPS))}'
            )
        return
    if isinstance(method, type) and issubclass(method, Method):
        raise InputError(
            f"expected `methods` to be names and instances, got the class {method.__name__}; make an instance"
        )
    if not isinstance(method, Method):
        raise InputError(
            f"expected `methods` to be names and instances, got {kind_of(method)}; a method of your own derives "
            "from Scored, Received or Reviewed"
        )
    check_method(method, "methods")


def _free_key(name: str, taken: Collection[str]) -> str:
    """The method's name, numbered where it is taken: "mine", "mine_2"."""
    key, number = name, 1
    while key in taken:
        number += 1
        key = f"{name}_{number}"
    return key


def _thresholds(thresholds: str | Mapping[str, float | Real] | None, chosen: Collection[str]) -> dict[str, float]:
    if thresholds is None:
        return {}
    is_json = isinstance(thresholds, str)
    if isinstance(thresholds, str):
        try:
            thresholds = json.loads(thresholds)
        except (ValueError, RecursionError) as error:
            raise InputError(f"`thresholds` is not JSON ({error}); write it as {EXAMPLE}") from None
    if not isinstance(thresholds, Mapping):
        like = f"write it as {EXAMPLE}" if is_json else 'give a mapping, {"kvzap": -7}'
        raise InputError(f"expected `thresholds` to be of methods by name, got {shown(thresholds)}; {like}")
    known = [*method_names(), *(key for key in chosen if key not in method_names())]
    for name in thresholds:
        if name not in known:
            raise InputError(f'`thresholds` names the unknown method "{name}", {did_you_mean(str(name), known)}')
        if name == BASELINE:
            raise InputError("the baseline keeps everything and has no threshold; leave it out of `thresholds`")
        if name not in chosen:
            raise InputError(f"`thresholds` names {name}, which is not run; add it to `methods` ({', '.join(chosen)})")
    return {name: _number(name, value) for name, value in thresholds.items()}


def _number(name: str, value: object) -> float:
    """A threshold of any type of real number: from numpy too."""
    try:
        number = None if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        raise InputError(
            f"the threshold of {name} in `thresholds` is a number too large for any score; "
            "give a smaller one, or Infinity"
        ) from None
    if number is None or math.isnan(number):
        shown = "NaN" if number is not None else json.dumps(value, default=str)
        raise InputError(
            f"the threshold of {name} in `thresholds` is {shown}; give a number (-Infinity keeps everything)"
        )
    return number


def _known() -> str:
    return ", ".join(method_names())
