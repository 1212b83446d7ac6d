"""A comparison as lines that fit a terminal: advice, the table, what a stopped run has, the list of methods."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.core.densities import KeptCounts
from keepmap.errors import InputError
from keepmap.kv.comparison.plan import plan_methods
from keepmap.kv.comparison.results import Comparison, MethodResult, SampleResult
from keepmap.kv.comparison.rows import summarise
from keepmap.kv.comparison.session import Facts
from keepmap.kv.data.texts import Skipped
from keepmap.kv.method import method_names
from keepmap.kv.modes import Mode
from keepmap.printing.comparison import (
    advice_lines,
    comparison_table,
    facts_lines,
    header,
    methods_table,
    stopped_lines,
    validation_lines,
)


def result(method: str, nll: float) -> SampleResult:
    kept = KeptCounts(9, 9, 9, 9)
    return SampleResult(
        method=method,
        sample=0,
        line=1,
        n_tokens=9,
        n_predicted=8,
        nll=nll,
        kl=0.0,
        n_agreed=0,
        entries=kept,
        tokens=kept,
        footprint=1.0,
    )


def row_of(label: str, key: str, nll: float) -> MethodResult:
    return summarise(label, [result(key, nll)], [result("baseline", 8.0)], None)


def advice(methods: str, density: float, n_compressible: int = 9, **options: object) -> list[str]:
    (plan,) = plan_methods(methods, **options).methods
    kept = KeptCounts(9, round(9 * density), 9, round(9 * density))
    results = [
        SampleResult(
            method=plan.key,
            sample=0,
            line=1,
            n_tokens=9,
            n_predicted=8,
            nll=9.0,
            kl=0.0,
            n_agreed=0,
            entries=kept,
            tokens=kept,
            footprint=1.0,
        )
    ]
    row = replace(summarise(plan.label, results, results, plan), density_compressible=density)
    lines = advice_lines(row, plan, n_compressible)
    assert all(len(line) <= 80 for line in lines)
    return lines


def test_a_method_that_selects_nothing_comes_with_advice():
    assert advice("kvzap", 1.0) == ["    Nothing compressible was evicted: try --density 0.2 or a higher threshold"]
    assert advice("kvzap", 0.0) == ["    Everything compressible was evicted: try --density 0.2 or a lower threshold"]
    assert advice("h2o", 1.0) == ["    Nothing compressible was evicted: try a lower --density"]
    assert advice("h2o", 0.0) == ["    Everything compressible was evicted: try a higher --density"]
    nothing = "leaves nothing compressible: give a smaller, or longer texts"
    assert advice("h2o", 1.0, 0, window=32) == [f"    A window of 512 {nothing}"]
    assert advice("kvzap", 1.0, 0, window=32) == [f"    A window of 32 {nothing}"]
    assert advice("kvzap", 0.999) == advice("streaming_llm", 0.0) == advice("random_validation", 0.0) == []


def test_the_table_shows_every_row_and_a_change_of_nothing_without_a_minus():
    whole, chunked, random = (row_of(*cells) for cells in (("W", "whole", 8.0), ("C", "base", 8.0), ("R", "r", 10.0)))
    comparison = Comparison(
        configuration={},
        baseline_no_chunking=whole,
        baseline=replace(chunked, nll_delta=-1e-9),
        methods=(random,),
        samples=(),
        complete=True,
        validated=1,
    )
    lines = comparison_table(comparison, {"whole": 0.5, "base": 1.0, "r": 2.0})
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "Chunking Artifact:     ΔNLL: +0.000000 (+0.00%)" in text and "too few for one" in text
    rows = [line.split() for line in lines if line.startswith("R ")]
    assert rows[0][:3] == ["R", "1.250000", "+0.250000"] and rows[-1][-1] == "2.00"
    assert "-0.000000" not in text
    assert "(n=1)" in validation_lines(comparison)[-1]
    assert validation_lines(replace(comparison, validated=None)) == []


def test_what_could_evict_nothing_is_named_with_its_sinks_and_window():
    def samples(**compressible: tuple[int, int]) -> tuple[SampleResult, ...]:
        return tuple(
            replace(result(method, 8.0), sample=number, entries=KeptCounts(9, 9, n, n))
            for method, both in compressible.items()
            for number, n in enumerate(both)
        )

    rows = [replace(row_of(label, label, 9.0), n_sink=4, window=508) for label in ("A", "B", "C")]
    comparison = Comparison(
        configuration={},
        baseline_no_chunking=row_of("W", "whole", 8.0),
        baseline=row_of("C", "base", 8.0),
        methods=tuple(rows),
        samples=samples(A=(0, 0), B=(0, 2), C=(0, 0)),
        complete=True,
        validated=None,
    )
    seconds = dict.fromkeys(("whole", "base", "A", "B", "C"), 1.0)
    line = "Nothing could be evicted: sinks and window protect every token of A (512), C (512)"
    assert line in " ".join(" ".join(comparison_table(comparison, seconds)).split())
    other = replace(comparison, samples=samples(A=(1, 1), B=(0, 2), C=(3, 0)))
    assert "Nothing could" not in "".join(comparison_table(other, seconds))


def test_a_table_of_different_shares_says_that_it_ranks_nothing():
    rows = [
        replace(row_of(label, label, nll), footprint=held) for label, nll, held in (("A", 9.0, 0.9), ("B", 8.5, 0.5))
    ]
    comparison = Comparison(
        configuration={},
        baseline_no_chunking=row_of("W", "whole", 8.0),
        baseline=row_of("C", "base", 8.0),
        methods=tuple(rows),
        samples=(),
        complete=True,
        validated=None,
    )
    seconds = dict.fromkeys(("whole", "base", "A", "B"), 1.0)
    lines = comparison_table(comparison, seconds)
    assert all(len(line) <= 80 for line in lines)
    assert lines[-3].startswith("Not ranked: ") and lines[-1] == "      a --density puts all under one budget"
    alike = replace(comparison, methods=tuple(replace(row, density=0.2) for row in rows))
    assert "one window and the same sinks" in comparison_table(alike, seconds)[-1]
    samples = [
        replace(result(label, nll), sample=n) for n in range(3) for label, nll in (("A", 9.0 + n / 8), ("B", 8.5))
    ]
    ranked = replace(comparison, methods=tuple(replace(row, footprint=0.5) for row in rows), samples=tuple(samples))
    lines = comparison_table(ranked, seconds)
    assert not any(line.startswith("Not ranked") for line in lines)
    assert lines[-4:-2] == [
        "Verdicts: NLL, all pairs of methods, paired over samples, 95%, Holm-corrected",
        "      B beats A",
    ]
    assert lines[-2].startswith("      n=3: a true difference of ") and max(map(len, lines)) <= 80
    few = replace(ranked, samples=ranked.samples[:4])
    assert comparison_table(few, seconds)[-1] == "      n=2: nothing can be told of fewer than 3"
    alone = replace(ranked, methods=ranked.methods[:1])
    assert not any("Verdicts" in line for line in comparison_table(alone, seconds))


def test_verdicts_are_weighted_by_tokens_as_the_table_is():
    samples = [
        replace(result(label, nll * size), sample=n, n_predicted=size, n_tokens=size + 1)
        for n, size in enumerate((8, 80, 800))
        for label, nll in (("A", 1.0 + n), ("B", 1.1 + 0.5 * n))
    ]
    base = [sample for sample in samples if sample.method == "A"]
    rows = [summarise(label, [sample for sample in samples if sample.method == label], base, None) for label in "AB"]
    comparison = Comparison(
        configuration={},
        baseline_no_chunking=rows[0],
        baseline=rows[0],
        methods=tuple(rows),
        samples=tuple(samples),
        complete=True,
        validated=None,
    )
    (pair,) = comparison.verdicts(margin=0.2).pairs
    assert (pair.a, pair.b) == ("B", "A")
    assert (pair.difference, pair.low) == (pytest.approx(rows[1].nll_delta), pytest.approx(rows[1].nll_delta_low))
    with pytest.raises(InputError, match="two or more methods to compare, got 1"):
        replace(comparison, methods=tuple(rows[:1])).verdicts()


def test_a_table_of_one_cut_says_what_its_costs_are_of():
    comparison = Comparison(
        configuration={"mode": "once", "context_length": 0.5},
        baseline_no_chunking=row_of("W", "whole", 8.0),
        baseline=row_of("C", "base", 8.0),
        methods=(),
        samples=(),
        complete=True,
        validated=None,
    )
    seconds = dict.fromkeys(("whole", "base"), 1.0)
    lines = comparison_table(comparison, seconds)
    assert lines[-2:] == [
        "      Mode once: cut after 50% of each text;",
        "      NLL, PPL, KL, Top-1 = of the tokens after that",
    ]
    hostile = replace(comparison, configuration={"mode": "once", "context_length": "\x1b[31m" * 30})
    assert all(len(line) <= 90 and line.isprintable() for line in comparison_table(hostile, seconds) if line)
    assert not any("once" in line for line in comparison_table(replace(comparison, configuration={}), seconds))
    assert header("tiny", "data.jsonl", Mode("once", context_length=512).line, (), ("cpu",))[7] == (
        "  Mode: once (512 tokens read densely, one cut after it)"
    )


def test_what_is_run_and_what_loading_has_shown():
    plans = plan_methods("kvzap h2o").methods
    lines = header("tiny", "data.jsonl", Mode().line, plans, ("cpu", "cpu"))
    assert "    - kvzap: threshold=-5 (sinks=4, window=128)" in lines
    assert lines[-1] == "  Processes: 2 (device cpu)"
    facts = Facts(
        plans=plans,
        left_out=("random_validation (why)",),
        n_samples=3,
        skipped=tuple(Skipped(line, f"line {line}", "is not JSON") for line in range(1, 8)),
        chat_template=True,
        n_layers=2,
        n_kv_heads=4,
        dtype="float32",
        device="cpu",
    )
    assert facts_lines(facts) == [
        "  Layers x KV heads: 2 x 4 (float32 on cpu)",
        "  Samples: 3",
        "  Skipped: 7 of 10 texts",
        *(f"    line {line} is not JSON" for line in range(1, 6)),
        "    and 2 more, which detailed_results.json names",
        "  Texts: each in the model's chat template, as what a user says",
        "  Left out: random_validation (why)",
    ]


def test_which_results_a_stopped_run_has():
    begun = {2: ["baseline"]}
    options = {"n_samples": 4, "begun": begun, "folder": Path("out/samples")}
    assert stopped_lines("Stopped", complete=[0, 1], written=True, **options) == [
        "Stopped: 2 of 4 samples are finished",
        "  with every method: samples 0, 1 (in the result files too)",
        "  sample 2 with baseline",
        "  Each result is in out/samples",
    ]
    assert stopped_lines("Interrupted", complete=[], written=False, **options)[1] == "  sample 2 with baseline"
    assert stopped_lines("Interrupted", complete=[], written=False, **(options | {"begun": {}})) == [
        "Interrupted: 0 of 4 samples are finished"
    ]


def test_the_list_has_every_method_in_80_columns():
    lines = methods_table()
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if line} >= set(method_names())
