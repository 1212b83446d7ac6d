"""From the samples' results to a row per method, and to the comparison."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keepmap.core.intervals import ratio_interval
from keepmap.errors import ImpossibleResultError
from keepmap.kv.comparison.plan import BASELINE, MethodPlan, validates
from keepmap.kv.comparison.results import Comparison, MethodResult, SampleResult, holds_alike
from keepmap.kv.comparison.session import NO_CHUNKING, Facts

__all__ = ["ResultKey", "build_comparison", "complete_samples", "method_keys", "summarise"]

ResultKey = tuple[int, str]
"""Which result: the number of the sample, and the key of the method."""

LABELS = {NO_CHUNKING: "Baseline (No Chunking)", BASELINE: "Baseline (Chunked)"}


def summarise(
    label: str,
    results: Sequence[SampleResult],
    baseline: Sequence[SampleResult],
    plan: MethodPlan | None,
) -> MethodResult:
    """One method's row; sums over samples are weighted by tokens: total NLL / total tokens.

    Args:
        results, baseline: of the same samples in the same order, at least one.
        plan: what decided; None for the baselines.

    Raises:
        ImpossibleResultError: a perplexity that no float can hold, or a baseline without any uncertainty.
    """
    assert [result.sample for result in results] == [result.sample for result in baseline] and results
    tokens = sum(result.n_predicted for result in results)
    nll = math.fsum(result.nll for result in results) / tokens
    baseline_nll = math.fsum(result.nll for result in baseline) / tokens
    if baseline_nll <= 0:
        raise ImpossibleResultError(f"the baseline's NLL is {baseline_nll}: the model is certain of every token")
    ppl, baseline_ppl = _perplexity(nll, label), _perplexity(baseline_nll, "the baseline")
    low, high = ratio_interval(
        np.array([[result.nll - base.nll for result, base in zip(results, baseline, strict=True)]]),
        np.array([[float(result.n_predicted) for result in results]]),
    )
    entries = sum((result.entries for result in results[1:]), start=results[0].entries)
    counted = sum((result.tokens for result in results[1:]), start=results[0].tokens)
    # A footprint is a share of the dense cache's size summed over the steps, n (n + 1) / 2.
    steps = [result.n_tokens * (result.n_tokens + 1) // 2 for result in results]
    held = math.fsum(result.footprint * n for result, n in zip(results, steps, strict=True))
    threshold = None if plan is None else plan.threshold
    return MethodResult(
        method=label,
        method_key=results[0].method,
        perplexity=ppl,
        avg_nll=nll,
        nll_delta=nll - baseline_nll,
        nll_delta_pct=100 * (nll - baseline_nll) / baseline_nll,
        nll_delta_low=low,
        nll_delta_high=high,
        n_samples=len(results),
        total_tokens=tokens,
        ppl_delta=ppl - baseline_ppl,
        ppl_delta_pct=100 * (ppl - baseline_ppl) / baseline_ppl,
        density_overall=entries.density(),
        density_compressible=entries.compressible_density(),
        token_density_overall=counted.density(),
        token_density_compressible=counted.compressible_density(),
        footprint=min(held / sum(steps), 1.0),
        kl=math.fsum(result.kl for result in results) / tokens,
        top1_agreement=sum(result.n_agreed for result in results) / tokens,
        threshold=threshold if threshold is None or math.isfinite(threshold) else str(threshold),
        density=None if plan is None else plan.density,
        n_sink=None if plan is None else plan.n_sink,
        window=None if plan is None else plan.window,
    )


def complete_samples(results: Mapping[ResultKey, SampleResult], facts: Facts) -> list[int]:
    """The samples that every method is done with."""
    keys = method_keys(facts)
    return [sample for sample in range(facts.n_samples) if all((sample, key) in results for key in keys)]


def method_keys(facts: Facts) -> tuple[str, ...]:
    """Of both baselines and of every method, in the order in which they run."""
    return (NO_CHUNKING, BASELINE, *(plan.key for plan in facts.plans))


def build_comparison(
    results: Mapping[ResultKey, SampleResult], facts: Facts, configuration: Mapping[str, Any]
) -> Comparison | None:
    """A row per method over the samples that all of them are done with; None where there is no such sample.

    The order in which results came in does not matter.
    """
    samples = complete_samples(results, facts)
    if not samples:
        return None
    by_method = {key: [results[sample, key] for sample in samples] for key in method_keys(facts)}
    baseline = by_method[BASELINE]
    rows = [summarise(plan.label, by_method[plan.key], baseline, plan) for plan in facts.plans]
    return Comparison(
        configuration=configuration,
        baseline_no_chunking=summarise(LABELS[NO_CHUNKING], by_method[NO_CHUNKING], baseline, None),
        baseline=summarise(LABELS[BASELINE], baseline, baseline, None),
        methods=tuple(sorted(rows, key=lambda row: row.avg_nll) if holds_alike(rows) else rows),
        samples=tuple(results[sample, key] for sample in samples for key in by_method),
        complete=len(samples) == facts.n_samples,
        validated=len(samples) if validates(facts.plans) else None,
    )


def _perplexity(nll: float, what: str) -> float:
    try:
        return math.exp(nll)
    except OverflowError:
        raise ImpossibleResultError(f"the perplexity of {what} overflows: its NLL is {nll} per token") from None
