"""From the samples' results to a row per method."""

import math
from collections.abc import Sequence

from keepmap.core.intervals import bootstrap_interval
from keepmap.errors import ImpossibleResultError
from keepmap.kv.comparison.plan import MethodPlan
from keepmap.kv.comparison.results import MethodResult, SampleResult

__all__ = ["summarise"]


def summarise(
    label: str,
    results: Sequence[SampleResult],
    baseline: Sequence[SampleResult],
    plan: MethodPlan | None,
    seed: int,
) -> MethodResult:
    """One method's row; sums over samples are weighted by tokens: total NLL / total tokens.

    Args:
        results, baseline: of the same samples in the same order, at least one.
        plan: what decided; None for the baselines.

    Raises:
        ImpossibleResultError: a perplexity that no float can hold, or a baseline without any uncertainty.
    """
    assert [one.sample for one in results] == [one.sample for one in baseline] and results
    tokens = sum(one.n_predicted for one in results)
    nll = math.fsum(one.nll for one in results) / tokens
    baseline_nll = math.fsum(one.nll for one in baseline) / tokens
    if baseline_nll <= 0:
        raise ImpossibleResultError(f"the baseline's NLL is {baseline_nll}: the model is certain of every token")
    ppl, baseline_ppl = _perplexity(nll, label), _perplexity(baseline_nll, "the baseline")
    low, high = bootstrap_interval(
        [one.nll - base.nll for one, base in zip(results, baseline, strict=True)],
        [one.n_predicted for one in results],
        seed,
    )
    entries = sum((one.entries for one in results[1:]), start=results[0].entries)
    counted = sum((one.tokens for one in results[1:]), start=results[0].tokens)
    # A footprint is a share of the dense cache's size summed over the steps, n (n + 1) / 2.
    steps = [one.n_tokens * (one.n_tokens + 1) // 2 for one in results]
    held = math.fsum(one.footprint * n for one, n in zip(results, steps, strict=True))
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
        kl=math.fsum(one.kl for one in results) / tokens,
        top1_agreement=sum(one.n_agreed for one in results) / tokens,
        threshold=threshold if threshold is None or math.isfinite(threshold) else str(threshold),
        density=None if plan is None else plan.density,
        n_sink=None if plan is None else plan.n_sink,
        window=None if plan is None else plan.window,
    )


def _perplexity(nll: float, what: str) -> float:
    try:
        return math.exp(nll)
    except OverflowError:
        raise ImpossibleResultError(f"the perplexity of {what} overflows: its NLL is {nll} per token") from None
