"""A comparison as lines: what is run, each method's figures, the table of all of them; and the list of methods."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from keepmap.core.intervals import LEAST
from keepmap.errors import on_one_line
from keepmap.kv.comparison import BASELINE, STREAMING, VALIDATION, Comparison, Facts, MethodPlan, MethodResult
from keepmap.kv.method import Method, methods
from keepmap.printing.tables import Column, panels, terminal_width

__all__ = [
    "advice_lines",
    "comparison_table",
    "evaluation_block",
    "facts_lines",
    "header",
    "methods_table",
    "result_lines",
    "reused_lines",
    "stopped_lines",
    "validation_lines",
]

RULE = "=" * 80
MOST_SKIPPED = 5


def header(model: str, dataset: str, mode: str, plans: Sequence[MethodPlan], devices: Sequence[str]) -> list[str]:
    """The first block: what is going to be run; `mode` is the line of its mode."""
    return [
        RULE,
        "KV CACHE COMPRESSION METHODS COMPARISON",
        RULE,
        "",
        "Configuration:",
        f"  Model: {on_one_line(model)}",
        f"  Dataset: {on_one_line(dataset)}",
        f"  {mode}",
        "  Thresholds/Densities:",
        *(f"    - {plan.key}: {plan.rule()} (sinks={plan.n_sink}, window={plan.window})" for plan in plans),
        *textwrap.wrap(
            f"Methods: {', '.join(plan.key for plan in plans) or 'the baselines alone'}",
            width=80,
            initial_indent="  ",
            subsequent_indent="    ",
        ),
        f"  Processes: {len(devices)} (device {', '.join(dict.fromkeys(devices))})",
    ]


def facts_lines(facts: Facts) -> list[str]:
    """What loading has shown: sizes, skipped texts, methods left out."""
    lines = [
        f"  Layers x KV heads: {facts.n_layers} x {facts.n_kv_heads} ({facts.dtype} on {facts.device})",
        f"  Samples: {facts.n_samples}",
    ]
    if facts.skipped:
        lines.append(f"  Skipped: {len(facts.skipped)} of {facts.n_samples + len(facts.skipped)} texts")
        lines += [f"    {text}" for text in facts.skipped[:MOST_SKIPPED]]
        if more := len(facts.skipped) - MOST_SKIPPED:
            lines += [f"    and {more} more, which detailed_results.json names"] if more > 0 else []
    if facts.chat_template:
        lines.append("  Texts: each in the model's chat template, as what a user says")
    return lines + [f"  Left out: {reason}" for reason in facts.left_out]


def reused_lines(n_reused: int, n_results: int) -> list[str]:
    """What an earlier start of the same run has left.

    >>> reused_lines(3, 12)
    ['  Goes on: 3 of 12 results are there already']
    """
    if not n_reused:
        return []
    if n_reused == n_results:
        return [f"  Finished already: all {n_results:,} results are there"]
    return [f"  Goes on: {n_reused:,} of {n_results:,} results are there already"]


def evaluation_block(name: str) -> list[str]:
    """The heading of one method."""
    return ["", RULE, f"Evaluating: {name}", RULE]


def result_lines(row: MethodResult, *, compressed: bool) -> list[str]:
    """One method's figures, `compressed` with its densities."""
    lines = [
        "",
        f"{row.method} Results:",
        f"  Perplexity: {row.perplexity:.4f}",
        f"  Avg NLL: {row.avg_nll:.4f}",
        f"  Total tokens: {row.total_tokens:,}",
    ]
    if compressed:
        lines += [
            "  Compression Statistics:",
            f"    Overall Density (w/ window): {row.density_overall:.2%}",
            f"    Compressible Region Density (w/o window): {row.density_compressible:.2%}",
        ]
    return lines


def advice_lines(row: MethodResult, plan: MethodPlan, n_compressible: int) -> list[str]:
    """One line where a method that has scores selected nothing: it evicted all that it could, or none of it."""
    if plan.key in (BASELINE, STREAMING, VALIDATION) or row.density_compressible not in (0.0, 1.0):
        return []
    if n_compressible == 0:
        # No option is named: h2o has one of its own, and the one of all others would change nothing.
        return [f"    A window of {plan.window} leaves nothing compressible: give a smaller, or longer texts"]
    what, density, threshold = (
        ("Nothing", "lower", "higher") if row.density_compressible == 1.0 else ("Everything", "higher", "lower")
    )
    if plan.threshold is None:
        return [f"    {what} compressible was evicted: try a {density} --density"]
    return [f"    {what} compressible was evicted: try --density 0.2 or a {threshold} threshold"]


def comparison_table(comparison: Comparison, seconds: Mapping[str, float]) -> list[str]:
    """The last block: both baselines, the chunking artifact, and every method, in the order of NLL if it ranks them."""
    whole, chunked = comparison.baseline_no_chunking, comparison.baseline
    artifact = chunked.avg_nll - whole.avg_nll
    rows = [whole, chunked, *comparison.methods]
    n = chunked.n_samples
    return [
        "",
        RULE,
        "COMPARISON SUMMARY",
        RULE,
        "",
        f"Baseline (No Chunking) NLL: {whole.avg_nll:.6f} | PPL: {whole.perplexity:.4f}",
        f"Baseline (Chunked)     NLL: {chunked.avg_nll:.6f} | PPL: {chunked.perplexity:.4f}",
        f"Chunking Artifact:     ΔNLL: {_signed(artifact, 6)} ({_signed(100 * artifact / whole.avg_nll, 2)}%)",
        "",
        *panels(
            Column("Method", tuple(row.method for row in rows)),
            [
                Column("NLL", tuple(f"{row.avg_nll:.6f}" for row in rows)),
                Column("ΔNLL", tuple(_signed(row.nll_delta, 6) for row in rows)),
                Column(f"95% interval (n={n})", tuple(_interval(row) for row in rows)),
                Column("ΔNLL %", tuple(f"{_signed(row.nll_delta_pct, 2)}%" for row in rows)),
                Column("PPL", tuple(f"{row.perplexity:.4f}" for row in rows)),
                Column("Dens(all)", tuple(f"{row.density_overall:.2%}" for row in rows)),
                Column("Dens(comp)", tuple(f"{row.density_compressible:.2%}" for row in rows)),
                Column("Footprint", tuple(f"{row.footprint:.2%}" for row in rows)),
                Column("KL", tuple(f"{row.kl:.6f}" for row in rows)),
                Column("Top-1", tuple(f"{row.top1_agreement:.2%}" for row in rows)),
                Column("Seconds", tuple(_seconds(seconds.get(row.method_key)) for row in rows)),
            ],
            terminal_width(),
        ),
        "",
        "Note: ΔNLL is relative to Baseline (Chunked), per token; the interval is",
        f"      Student's, skew-adjusted, paired over samples (n={n}{', too few for one' * (n < LEAST)})",
        "      Dens(all) = cache entries kept at the end, of all",
        "      Dens(comp) = the same without sinks and window",
        "      Footprint = cache entries held on average while reading",
        "      KL, Top-1 = against the full cache: nats per token, same likeliest token",
        *_cut_lines(comparison),
        *_idle_lines(comparison),
        *_unranked_lines(comparison),
        *_verdict_lines(comparison),
    ]


def _cut_lines(comparison: Comparison) -> list[str]:
    """What NLLs are of, where a context was cut once."""
    if comparison.context is None:
        return []
    return [f"      Mode once: cut after {comparison.context};", "      NLL, PPL, KL, Top-1 = of the tokens after that"]


def _idle_lines(comparison: Comparison) -> list[str]:
    """Which methods could evict nothing, so that their zeros are not taken for a result."""
    compressible = {sample.method for sample in comparison.samples if sample.entries.n_compressible}
    idle = [row for row in comparison.methods if row.method_key not in compressible]
    if not idle or not comparison.samples:
        return []
    named = (f"{row.method} ({(row.n_sink or 0) + (row.window or 0):,})" for row in idle)
    words = f"Nothing could be evicted: sinks and window protect every token of {', '.join(named)}"
    return ["", *textwrap.wrap(words, width=80, subsequent_indent="      ")]


def _unranked_lines(comparison: Comparison) -> list[str]:
    """That the rows are in no order, where methods hold too different shares for one; and what mends it."""
    if comparison.rankable:
        return []
    densities = {row.density for row in comparison.methods}
    mend = "a --density puts all under one budget"
    if len(densities) == 1 and None not in densities:
        mend = "with one window and the same sinks for all they can be"
    return [
        "",
        "Not ranked: these rows hold different shares (by more than a tenth), so their",
        "      NLLs cannot rank them, and they stand in the order in which they ran;",
        f"      {mend}",
    ]


def _verdict_lines(comparison: Comparison) -> list[str]:
    """Which methods beat which, which are equal, and what cannot be told, where the table ranks two or more."""
    if not comparison.rankable or len(comparison.methods) < 2:
        return []
    lines = ["", "Verdicts: NLL, all pairs of methods, paired over samples, 95%, Holm-corrected"]
    for line in comparison.verdicts().lines:
        lines += textwrap.wrap(line, width=80, initial_indent="      ", subsequent_indent="        ")
    return lines


def validation_lines(comparison: Comparison) -> list[str]:
    """What was checked, where StreamingLLM and Random(threshold=1.0) both ran."""
    if comparison.validated is None:
        return []
    return [
        "",
        "Validation: StreamingLLM and Random(threshold=1.0) agree on all samples",
        f"            (n={comparison.validated}): NLLs to the last bit, KeepMaps in every expiry",
    ]


def stopped_lines(
    reason: str,
    *,
    n_samples: int,
    complete: Sequence[int],
    begun: Mapping[int, Sequence[str]],
    written: bool,
    folder: Path,
) -> list[str]:
    """Which results a run has that was stopped.

    Args:
        complete: the samples that every method is done with; `written` says that the result files hold them.
        begun: the other samples that have results, with the methods that are done.
        folder: where the results of single samples are.
    """
    lines = [f"{reason}: {len(complete)} of {n_samples} samples are finished"]
    if complete:
        where = " (in the result files too)" if written else ""
        lines.append(f"  with every method: samples {', '.join(map(str, complete))}{where}")
    lines += [f"  sample {sample} with {', '.join(methods)}" for sample, methods in begun.items()]
    return [*lines, f"  Each result is in {on_one_line(folder)}"] if complete or begun else lines


def methods_table() -> list[str]:
    """Every method with its default rule, its protection and what its score needs."""
    rows = methods().values()
    return [
        *panels(
            Column("Method", tuple(row.name for row in rows)),
            [
                Column("Label", tuple(row.label for row in rows)),
                Column("Rule", tuple(_default_rule(row) for row in rows)),
                Column("Sinks", tuple(str(row.n_sink) for row in rows)),
                Column("Window", tuple(str(row.window) for row in rows)),
                Column("Needs", tuple(f"{row.needs}{'*' if row.needs_surrogate else ''}" for row in rows)),
                Column("Usual", tuple("yes" if row.is_usual else "" for row in rows)),
            ],
            terminal_width(),
        ),
        "",
        "Rule: t, dropped below that threshold; d, that density is held (budget rule)",
        "Needs: what a score looks at: its own position, the prefix so far, what is held",
        "       now, the attention of a window of last queries to that, or the attention",
        "       received so far, or what comes later (an oracle: no cache can have that);",
        "       * and a trained surrogate",
        "Usual: runs where no method is named; `--methods all` runs all of them",
    ]


def _default_rule(method: type[Method]) -> str:
    by = "" if method.budget_by == "head" else f" by {method.budget_by}"
    return f"d {method.density:g}{by}" if method.threshold is None else f"t {method.threshold:g}"


def _interval(row: MethodResult) -> str:
    if row.nll_delta_low is None or row.nll_delta_high is None:
        return f"n={row.n_samples}"
    return f"{_signed(row.nll_delta_low, 4)} .. {_signed(row.nll_delta_high, 4)}"


def _signed(value: float, digits: int) -> str:
    """With its sign; a value that rounds to nothing is +0, not -0."""
    rounded = round(value, digits)
    return f"{rounded if rounded else 0.0:+.{digits}f}" if math.isfinite(value) else f"{value:+}"


def _seconds(taken: float | None) -> str:
    """A dash where nobody knows them any more."""
    return "-" if taken is None else f"{taken:.2f}"
