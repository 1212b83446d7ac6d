"""Which methods a comparison runs, each with its rule and protection: options checked before a model is loaded."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from keepmap.errors import InputError, did_you_mean
from keepmap.kv.choosing import Budget, Protection
from keepmap.kv.method import Method, method_class, method_names

__all__ = ["BASELINE", "MethodPlan", "Plan", "plan_methods", "validates"]

BASELINE = "baseline"
STREAMING, VALIDATION = "streaming_llm", "random_validation"


@dataclass(frozen=True)
class MethodPlan:
    """One method with the rule that decides (a threshold, or else a density) and what is protected."""

    key: str
    label: str
    threshold: float | None
    density: float | None
    n_sink: int
    window: int

    def rule(self) -> str:
        """The rule in words, as tables and headers print it."""
        return f"density={self.density:g}" if self.threshold is None else f"threshold={self.threshold:g}"


@dataclass(frozen=True)
class Plan:
    """The methods beside the baseline, in the order asked for; whether `all` were, and which of them are left out."""

    methods: tuple[MethodPlan, ...]
    asked_for_all: bool
    left_out: tuple[str, ...]


def plan_methods(
    methods: str | Sequence[str] = "all",
    *,
    thresholds: str | Mapping[str, float | Real] | None = None,
    density: float | None = None,
    n_sink: int | None = None,
    sliding_window_size: int = Method.window,
    h2o_local_window_size: int | None = None,
) -> Plan:
    """Turn the options into one plan per method.

    Args:
        methods: names, separated by commas or spaces where they are one string; "all" for every method.
        thresholds: name -> threshold, or the same as JSON; such a method runs under the threshold rule.
        density: puts every method under the budget rule at this density.
        n_sink: for the methods that have sinks by default. sliding_window_size: for all but `h2o`, which has its own.

    Raises:
        InputError: an unknown method, or a number that no rule can work with.
    """
    names, asked_for_all = _names(methods)
    given = _thresholds(thresholds, names)
    if density is not None:
        Budget(density=density)
        if given:
            raise InputError(
                f"a threshold for {next(iter(given))} and --density {density:g} were asked for; "
                "--density puts every method under the budget rule, so leave one of them out"
            )
    if n_sink is not None:
        Protection(n_sink=n_sink)
    Protection(window=sliding_window_size)
    if h2o_local_window_size is not None:
        Protection(window=h2o_local_window_size)
    plans: list[MethodPlan] = []
    left_out: list[str] = []
    for name in names:
        method = method_class(name)
        if density is not None and name == VALIDATION:
            reason = f"{name} is Random with threshold 1.0, it has no budget rule; leave it out with --density"
            if not asked_for_all:
                raise InputError(reason)
            left_out.append(f"{name} (--density puts every method under the budget rule)")
            continue
        # A window that a method declares for itself is part of the method.
        window = sliding_window_size if method.window == Method.window else method.window
        if name == "h2o" and h2o_local_window_size is not None:
            window = h2o_local_window_size
        plans.append(_plan(method, given.get(name), density, n_sink, window))
    return Plan(tuple(plans), asked_for_all, tuple(left_out))


def validates(plans: Sequence[MethodPlan]) -> bool:
    """Whether StreamingLLM and Random(threshold=1.0) both run as they are, so that their results must be equal."""
    by_key = {plan.key: plan for plan in plans}
    if not by_key.keys() >= {STREAMING, VALIDATION}:
        return False
    streaming, random = by_key[STREAMING], by_key[VALIDATION]
    return (
        streaming.threshold == method_class(STREAMING).threshold
        and random.threshold == method_class(VALIDATION).threshold
        and (streaming.n_sink, streaming.window) == (random.n_sink, random.window)
    )


def _plan(
    method: type[Method], threshold: float | None, density: float | None, n_sink: int | None, window: int
) -> MethodPlan:
    if threshold is None and density is None:
        threshold, density = method.threshold, None if method.threshold is not None else method.density
    sinks = n_sink if n_sink is not None and method.n_sink > 0 else method.n_sink
    return MethodPlan(method.name, method.label, threshold, density, sinks, window)


def _names(methods: str | Sequence[str]) -> tuple[list[str], bool]:
    """The methods without the baseline, which always runs, each once; and whether `all` were asked for."""
    parts = [methods] if isinstance(methods, str) else list(methods)
    names = [name for part in parts for name in part.replace(",", " ").split()]
    if not names:
        raise InputError(f"no method was asked for; name some, or all of them with --methods all: {_known()}")
    asked_for_all = "all" in names
    if asked_for_all:
        names = list(method_names())
    for name in names:
        if name not in method_names():
            raise InputError(f'unknown method "{name}", {did_you_mean(name, (*method_names(), "all"))}')
    return [name for name in dict.fromkeys(names) if name != BASELINE], asked_for_all


def _thresholds(thresholds: str | Mapping[str, float | Real] | None, names: Sequence[str]) -> dict[str, float]:
    if thresholds is None:
        return {}
    if isinstance(thresholds, str):
        try:
            thresholds = json.loads(thresholds)
        except (ValueError, RecursionError) as error:
            raise InputError(f"--thresholds is not JSON ({error}); write it as '{{\"kvzap\": -7}}'") from None
    if not isinstance(thresholds, Mapping):
        raise InputError("--thresholds must name methods; write it as '{\"kvzap\": -7}'")
    for name in thresholds:
        if name not in method_names():
            raise InputError(f'--thresholds names the unknown method "{name}", {did_you_mean(name, method_names())}')
        if name == BASELINE:
            raise InputError("the baseline keeps everything and has no threshold; leave it out of --thresholds")
        if name not in names:
            raise InputError(f"--thresholds names {name}, which is not run; add it to --methods ({', '.join(names)})")
    return {name: _number(name, value) for name, value in thresholds.items()}


def _number(name: str, value: object) -> float:
    """A threshold of any type of real number: from numpy too."""
    try:
        number = None if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        raise InputError(
            f"the threshold of {name} is a number too large for any score; give a smaller one, or Infinity"
        ) from None
    if number is None or math.isnan(number):
        shown = "NaN" if number is not None else json.dumps(value, default=str)
        raise InputError(f"the threshold of {name} is {shown}; give a number (-Infinity keeps everything)")
    return number


def _known() -> str:
    return ", ".join(method_names())
