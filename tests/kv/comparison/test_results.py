"""Rows from samples: token-weighted sums, and the run-time checks."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import pytest

from keepmap.core.densities import KeptCounts
from keepmap.core.files import write_json
from keepmap.core.intervals import ratio_interval
from keepmap.core.runs.records import write_record
from keepmap.errors import ImpossibleResultError
from keepmap.kv.comparison.plan import MethodPlan
from keepmap.kv.comparison.results import (
    FORMAT,
    Comparison,
    MethodResult,
    SampleResult,
    holds_alike,
    read_sample_result,
    write_sample_result,
)
from keepmap.kv.comparison.rows import summarise

PLAN = MethodPlan(key="random", label="Random", threshold=0.85, density=None, n_sink=4, window=128)


def sample(
    index: int, n: int, nll: float, method: str = "random", kept: int = 10, footprint: float = 0.5
) -> SampleResult:
    counts = KeptCounts(8 * n, 8 * kept, 8 * (n - 4), 8 * (kept - 4))
    tokens = KeptCounts(n, kept, n - 4, kept - 4)
    return SampleResult(
        method=method,
        sample=index,
        line=index + 1,
        n_tokens=n,
        n_predicted=n - 1,
        nll=nll,
        kl=0.1 * n,
        n_agreed=n // 2,
        entries=counts,
        tokens=tokens,
        footprint=footprint,
    )


BASELINE = [sample(0, 21, 60.0, "baseline"), sample(1, 101, 200.0, "baseline"), sample(2, 11, 40.0, "baseline")]
RANDOM = [sample(0, 21, 62.0), sample(1, 101, 210.0, kept=60, footprint=0.25), sample(2, 11, 39.0)]


def test_a_row_weighs_samples_by_their_tokens():
    row = summarise("Random", RANDOM, BASELINE, PLAN)
    assert row.total_tokens == 130
    assert row.avg_nll == pytest.approx(311 / 130)
    assert row.nll_delta == pytest.approx(11 / 130)
    assert row.nll_delta_pct == pytest.approx(100 * 11 / 300)
    assert row.perplexity == pytest.approx(math.exp(311 / 130))
    assert row.ppl_delta == pytest.approx(math.exp(311 / 130) - math.exp(300 / 130))
    assert row.density_overall == pytest.approx(80 / 133)
    assert row.density_compressible == pytest.approx(68 / 121)
    assert row.token_density_overall == pytest.approx(80 / 133)
    assert row.top1_agreement == pytest.approx((10 + 50 + 5) / 130)
    assert row.kl == pytest.approx(13.3 / 130)
    sizes = [21 * 22 / 2, 101 * 102 / 2, 11 * 12 / 2]
    assert row.footprint == pytest.approx((0.5 * sizes[0] + 0.25 * sizes[1] + 0.5 * sizes[2]) / sum(sizes))
    assert (row.threshold, row.density, row.n_samples) == (0.85, None, 3)


def test_of_fewer_than_three_samples_there_is_no_interval():
    for n in (1, 2):
        row = summarise("Random", RANDOM[:n], BASELINE[:n], PLAN)
        assert (row.nll_delta_low, row.nll_delta_high, row.n_samples) == (None, None, n)
    row = summarise("Random", RANDOM, BASELINE, PLAN)
    expected = ratio_interval(np.array([[2.0, 10.0, -1.0]]), np.array([[20.0, 100.0, 10.0]]))
    assert (row.nll_delta_low, row.nll_delta_high) == expected


def held(density: float, compressible: float, footprint: float, nll: float = 2.0) -> MethodResult:
    row = summarise("Random", RANDOM, BASELINE, PLAN)
    values = {"density_overall": density, "density_compressible": compressible, "footprint": footprint}
    return replace(row, avg_nll=nll, **values)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ((0.3, 0.2, 0.5), True),
        ((0.329, 0.219, 0.549), True),
        ((0.34, 0.2, 0.5), False),
        ((0.3, 0.17, 0.5), False),
        ((0.3, 0.0, 0.5), False),
        ((0.3, 0.2, 0.56), False),
    ],
)
def test_rows_that_hold_more_than_a_tenth_more_cannot_be_ranked(other: tuple[float, float, float], alike: bool) -> None:
    assert holds_alike([held(0.3, 0.2, 0.5), held(*other)]) is holds_alike([held(*other), held(0.3, 0.2, 0.5)]) is alike
    assert holds_alike([held(*other)]) and holds_alike([])


def test_what_cannot_be_ranked_names_no_best() -> None:
    base = summarise("Baseline", BASELINE, BASELINE, None)
    comparison = Comparison(
        configuration={},
        baseline_no_chunking=base,
        baseline=base,
        methods=(held(0.3, 0.2, 0.5), held(0.5, 0.2, 0.5, nll=1.0)),
        samples=(),
        complete=True,
        validated=None,
    )
    assert not comparison.rankable
    kept_there = replace(comparison, configuration={"model_name": "/home/me/mine"})
    assert kept_there.caption.startswith("mine: ") and "/home" not in repr(kept_there)
    # The page says what was typed, as docs/report.md has it; the table beside it does not.
    assert "/home" not in kept_there._repr_html_().split("<details>")[1]
    assert comparison.caption.endswith("not ranked, since the methods hold different shares")
    assert "costs least" not in repr(comparison)
    assert repr(comparison).startswith("Comparison: 2 methods that cannot be ranked by NLL: they hold 30.00% to 50.00%")


def test_impossible_numbers_are_errors_and_no_rows():
    with pytest.raises(ImpossibleResultError, match="footprint 1.5"):
        sample(0, 20, 1.0, footprint=1.5)
    with pytest.raises(ImpossibleResultError, match="NLL nan"):
        sample(0, 20, math.nan)
    row = summarise("Random", RANDOM, BASELINE, PLAN)
    with pytest.raises(ImpossibleResultError, match="density_overall of Random is -4.36"):
        replace(row, density_overall=-4.36)
    with pytest.raises(ImpossibleResultError, match="perplexity of Random overflows"):
        summarise("Random", [sample(0, 21, 1e6)], BASELINE[:1], PLAN)
    with pytest.raises(ImpossibleResultError, match="the baseline's NLL is 0"):
        summarise("Random", RANDOM[:1], [sample(0, 21, 0.0, "baseline")], PLAN)


def test_a_sample_survives_its_file_to_the_last_bit(tmp_path):
    result = sample(3, 21, 0.1 + 0.2)
    write_sample_result(tmp_path / "a.json", result, "ab12")
    assert read_sample_result(tmp_path / "a.json") == read_sample_result(tmp_path / "a.json", "ab12") == result
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("content", ["{}", "[]", "no", '{"format": "keepmap-sample/2"}', '{"format": "x"}'])
def test_what_is_no_sample_is_none(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert read_sample_result(tmp_path / "a.json") is None
    assert read_sample_result(tmp_path / "b.json") is None
    write_record(tmp_path / "c.json", "ab12", json.loads(content) if content[0] == "{" else {})
    assert read_sample_result(tmp_path / "c.json") is None


def test_a_damaged_sample_and_that_of_another_run_are_none(tmp_path):
    write_sample_result(tmp_path / "a.json", sample(3, 21, 0.5), "ab12")
    assert read_sample_result(tmp_path / "a.json", "cd34") is None
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace("0.5", "0.6", 1))
    assert read_sample_result(tmp_path / "a.json") is None


@pytest.mark.parametrize(
    "change", [{"n_tokens": [21]}, {"nll": "0.5"}, {"entries": 3}, {"method": "\x1b"}, {"kl": True}]
)
def test_a_sample_whose_fields_are_of_other_types_is_none(tmp_path, change):
    fields = {"format": FORMAT, **asdict(sample(3, 21, 0.5))}
    for values in (fields, fields | change):
        write_record(tmp_path / "a.json", "ab12", values)
        assert (read_sample_result(tmp_path / "a.json") is None) == (values is not fields)


def test_a_comparison_is_its_json(tmp_path):
    row = summarise("Random", RANDOM, BASELINE, replace(PLAN, threshold=-math.inf))
    base = summarise("Baseline", BASELINE, BASELINE, None)
    comparison = Comparison(
        configuration={"seed": 0},
        baseline_no_chunking=base,
        baseline=base,
        methods=(row,),
        samples=tuple(BASELINE + RANDOM),
        complete=True,
        validated=None,
    )
    write_json(tmp_path / "a.json", comparison.document())
    assert json.loads((tmp_path / "a.json").read_text()) == dict(comparison)
    assert comparison["comparison"] == [asdict(row)]
    assert comparison["methods"]["random"]["samples"] == [asdict(result) for result in RANDOM]
    assert comparison["comparison"][0]["threshold"] == "-inf"
    assert comparison.summary()["baseline_nll"] == base.avg_nll
    assert (base.nll_delta, base.nll_delta_pct) == (0.0, 0.0)


def comparison_of(*rows: MethodResult, configuration: Mapping[str, object] | None = None) -> Comparison:
    base = summarise("Baseline", BASELINE, BASELINE, None)
    return Comparison(
        configuration={"model_name": "tiny"} if configuration is None else configuration,
        baseline_no_chunking=base,
        baseline=base,
        methods=rows,
        samples=tuple(BASELINE),
        complete=True,
        validated=None,
    )


def test_a_comparison_is_a_table_of_all_its_rows():
    row = summarise("Random", RANDOM, BASELINE, PLAN)
    comparison = comparison_of(row)
    assert [cells["method"] for cells in comparison.rows] == ["Baseline", "Baseline", "Random"]
    assert comparison.rows[-1] == asdict(row)
    assert set(comparison.columns) < set(comparison.rows[0])
    assert comparison.to_csv().splitlines()[0].startswith("method,method_key,perplexity,avg_nll")
    assert "tiny: 3 samples, 130 predicted tokens; costs against Baseline" in comparison._repr_html_()


def test_its_repr_begins_with_the_answer_in_four_lines_at_most():
    row = summarise("Random", RANDOM, BASELINE, PLAN)
    assert repr(comparison_of(row)) == (
        "Comparison: Random costs least: +0.0846 nats of NLL per token at density 60.15%, of 1 method\n"
        "  tiny: 3 samples, 130 predicted tokens; costs against Baseline"
    )
    assert repr(comparison_of()).startswith("Comparison: no method beside the baseline, whose NLL is 2.3077 per token")
    assert "\x1b" not in repr(comparison_of(row, configuration={"model_name": "\x1b[2J"}))
