"""Every kind of value on the page: a sentence, a table, and the parts that its views draw, equal to the value's."""

import dataclasses
import re
import zlib

import numpy as np
import pytest
import torch

import keepmap
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.content import ReportedRun, run_document
from keepmap.drawing.page.values.families import points_of
from keepmap.drawing.page.values.kinds import kind_of_value
from keepmap.errors import InputError
from tests.drawing.page.every_value import NAMES, values
from tests.insight.test_document import verification

COVERS = ("keepmap.drawing.page.content", "keepmap.drawing.page.values.*", "keepmap.drawing.page.same_text")


class Kept(Arrays):
    """Arrays that can be read again."""

    def __init__(self) -> None:
        super().__init__()
        self.packed: dict[str, bytes] = {}

    def add(self, packed: bytes) -> str:
        name = super().add(packed)
        self.packed[name] = packed
        return name

    def floats(self, about) -> np.ndarray:
        planes = np.frombuffer(zlib.decompress(self.packed[about["id"]], -15), np.uint8).reshape(2, -1)
        return (planes[0].astype(np.uint32) << 16 | planes[1].astype(np.uint32) << 24).view(np.float32)


def shown(name, **about):
    arrays = Kept()
    document, maps = run_document(ReportedRun(value=values()[name], **about), arrays, (), False)
    return document, maps, arrays


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_says_its_answer_and_how_to_have_it(name):
    document, _, _ = shown(name)
    assert document["kind"] == document["name"] == name == kind_of_value(values()[name])
    assert document["verdict"].endswith((".", "rollout only: not measured", "goals")) and document["caption"]
    compile(document["python"], "page", "exec")
    assert bool(document["rows"]) == (name == "comparison") and document["tables"]
    for table in document["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


@pytest.mark.parametrize("name", NAMES)
def test_its_python_runs_where_what_it_names_is_there(name):
    lines = shown(name)[0]["python"].splitlines()
    needed = [line.split("`")[1] for line in lines if line.startswith("# Needs ")]
    assert len(needed) == (name != "suggestion")
    exec("\n".join(lines), dict.fromkeys(needed, values()[name]))  # noqa: S102


def test_a_suggestion_says_what_its_line_of_code_needs():
    suggestion = verification("language model").suggestion
    document, _ = run_document(ReportedRun(value=suggestion), Arrays(), (), False)
    assert (
        document["verdict"] == f"Keep 7 of 40 positions, 18%, by {suggestion.name}."
        and document["kind"] == "suggestion"
    )
    needs = document["python"].splitlines()[2]
    assert needs.startswith("# Needs `language_model`") and suggestion.line.startswith("keepmap.evict(language_model")


def test_a_surrogate_says_where_it_explains_least_and_which_head_says_nothing():
    document, _, _ = shown("surrogate")
    assert document["verdict"] == (
        "It explains 0.62 [0.50, 0.75] of the scores' variance on texts that were held out; least, 0.50, in layer 0, "
        "KV head 0."
    )
    explained, paper = document["tables"]
    assert explained["rows"][1] == [0, 1, 0.75] and explained["rows"][-1] == [1, 3, None] and paper["rows"]
    assert document["warnings"] == []


def test_what_no_page_shows_is_refused(unchecked):
    with pytest.raises(InputError, match=r"expected a value that has a page, AttentionProfile, .*; got an int"):
        kind_of_value(3)


def test_a_profile_has_its_measures_its_positions_and_what_an_eviction_takes():
    profile, eviction = values()["attention"], values()["eviction"]
    document, maps, arrays = shown("attention", evicted={"H2O": eviction.keep_map})
    part = document["attention"]
    layers, heads, n = profile.shape
    assert part["edges"] == list(range(n + 1)) and [packed.about["label"] for packed in maps] == ["H2O"]
    for measure, of in zip(part["measures"], (profile.normalised_entropy, profile.sink_mass), strict=False):
        np.testing.assert_allclose(measure["values"], of.nanmean(-1), atol=1e-4)
    for name, of in (("shares", profile.shares), ("received", profile.received)):
        np.testing.assert_allclose(arrays.floats(part[name]), of.flatten(), rtol=0.01, atol=1e-30)
    row = profile.rows[:, :, -1]
    gone = eviction.keep_map.expires <= n - 1
    lost = torch.where(gone[:, list(profile.kv_heads)], row, 0.0)
    assert part["row"]["query"] == n - 1 and 0 < lost.sum() < row.sum()
    np.testing.assert_allclose(part["evicted"][0]["share"], lost.sum(-1), atol=1e-4)
    np.testing.assert_allclose(arrays.floats(part["evicted"][0]["of"]), lost.flatten(), rtol=0.01, atol=1e-30)
    largest = arrays.floats(part["map"]["largest"]).reshape(layers, heads, part["map"]["cells"], -1)
    for layer, head in ((0, 0), (1, 3)):
        np.testing.assert_allclose(largest[layer, head], profile.map(layer, head, 128).maximum, rtol=0.01, atol=1e-30)


def test_a_profile_of_a_file_has_no_maps_and_a_long_one_is_summed_over_columns(monkeypatch):
    monkeypatch.setattr("keepmap.drawing.page.values.attention.COLUMNS", 50)
    profile, arrays = dataclasses.replace(values()["attention"], captured=None), Kept()
    part = run_document(ReportedRun(value=profile), arrays, (), False)[0]["attention"]
    n = profile.shape[2]
    assert part["map"] is None and len(part["edges"]) == 51 and part["edges"][-1] == n > 50
    summed = arrays.floats(part["shares"]).reshape(8, 50).sum(1)
    np.testing.assert_allclose(summed, profile.shares.sum(-1).flatten(), rtol=0.01)
    means = arrays.floats(part["received"]).reshape(8, 50)[:, 3]
    first, end = part["edges"][3:5]
    np.testing.assert_allclose(means, profile.received[..., first:end].mean(-1).flatten(), rtol=0.01)


def test_a_profile_shows_what_comparisons_of_its_text_evicted():
    from keepmap.drawing.page.same_text import kept_elsewhere

    text = "The code of river is 4821. " * 9
    comparison = keepmap.compare("tiny", text, "h2o", window=16, density=0.2)
    here = ReportedRun(value=values()["attention"])
    others = [here, ReportedRun(value=comparison), ReportedRun(value=values()["comparison"])]
    assert kept_elsewhere(here, others) == {"H2O": comparison.keep_maps["h2o"]}
    assert kept_elsewhere(others[1], others) == {}
    unnamed = ReportedRun(value=dataclasses.replace(here.value, labels=None))
    assert kept_elsewhere(unnamed, others) == {}


def test_an_evaluation_has_its_curve_and_the_returns_of_every_goal():
    evaluation = values()["evaluation"]
    document, _, arrays = shown("evaluation")
    part = document["agent"]
    assert part["curve"]["edges"] == list(range(61)) and part["goals"] == ["4,2", "5,6", "0,0"]
    np.testing.assert_allclose(part["curve"]["mean"], evaluation.returns.mean(0))
    np.testing.assert_allclose(arrays.floats(part["returns"]).reshape(3, 60), evaluation.returns, rtol=0.01)


def test_a_study_says_who_keeps_nearly_all_where_histories_are_shortest():
    study, document = values()["study"], shown("study")[0]
    shortest = max(row.percent for row in study.results)
    assert document["verdict"].startswith(f"{shortest:g} % shorter, 98% or more of the baseline's return is kept by ")
    for row in study.results:
        if row.percent == shortest and row.share is not None and row.share.mean >= 0.98:
            assert row.compressor in document["verdict"]
    promises = document["tables"][-1]
    assert [row[0] for row in promises["rows"]] == [promise["promised"] for promise in study.promises]
    broken = sum(promise["holds"] is False for promise in study.promises)
    assert len(document["warnings"]) == (broken > 0)


def test_a_study_has_a_point_for_every_compressor_and_budget():
    study = values()["study"]
    points = shown("study")[0]["agent"]["front"]
    rows = [row for row in study.results if row.compressor != "baseline" and row.share is not None]
    assert [(point["compressor"], point["ratio"], point["mean"]) for point in points] == [
        (row.compressor, row.ratio, row.share.mean) for row in rows
    ]
    for point, row in zip(points, rows, strict=True):
        assert point["words"].startswith(f"{row.compressor}, {row.percent:g} % shorter, ")
        assert f"{row.share.mean:.1%} of the baseline's return" in point["words"]


def test_a_family_has_a_table_verdicts_a_front_and_points_of_lives():
    study, document = values()["family"], shown("family")[0]
    table, verdicts, critical = document["tables"]
    assert [row[2] for row in table["rows"]] == [row.normalised for row in study.results]
    assert study.results[4].fronts == "kept bytes" and table["rows"][4][-1] == "transitions, bytes"
    assert [row[1] for row in verdicts["rows"]] == [line.strip() for lines in study.verdicts.values() for line in lines]
    assert [row[2] for row in critical["rows"]] == [line["footprint"] for line in study.critical]
    assert "80 % shorter, good earns most: 0.93 [" in document["verdict"] and document["warnings"] == []
    agent = document["agent"]
    assert agent["level"] == study.results[0].normalised and len(agent["front"]) == len(study.results) - 1
    assert [life["points"][2] for life in agent["lives"]] == [[3.0, curve[2]] for curve in study.curves]


def test_curves_of_long_lives_are_means_of_several_episodes():
    points = points_of([None, *(float(number) for number in range(1, 500))])
    assert len(points) == 200 and points[0] == [2.0, 1.5] and points[-1] == [499.5, 498.5]
    assert points_of([None, 1.0]) == [[1.0, None], [2.0, 1.0]]


def test_a_history_is_a_raster_of_episodes_with_what_compressors_hold():
    document, _, _ = shown("history", length=7)
    raster, context = document["agent"]["raster"], values()["history"]
    assert raster["episodes"][:11] == [1] * 10 + [2] and raster["steps"][:11] == [*range(11, 21), 1]
    assert raster["rewards"] == context.history.rewards[0].tolist() and raster["states"][3] == "(3, 3)"
    assert raster["held"]["recency"] == [0] * 43 + [1] * 7
    assert document["warnings"] == [
        "Not here, for the history lacks what they need: adaptive (the agent's attention), attention (the agent's "
        "attention), threshold (the agent's attention)."
    ]


def test_a_generation_has_both_answers_and_the_bytes_of_each_pass():
    generation = values()["generation"]
    part = shown("generation")[0]["generation"]
    assert part["answer"]["text"] == generation.text and part["full"]["text"] == generation.full.text
    assert part["divergence"] == generation.divergence
    assert part["moments"][-1][1:] == [generation.cache.nbytes, generation.cache.full_nbytes]
    redacted = run_document(ReportedRun(value=generation), Arrays(), (), True)[0]["generation"]["answer"]["text"]
    assert redacted == f"({len(generation.text)} characters, not in this file)"


def test_an_eviction_has_the_text_that_it_is_of():
    eviction = values()["eviction"]
    document, maps, _ = shown("eviction")
    assert document["text"]["lengths"]["n"] == len(eviction.input_ids) == eviction.keep_map.shape[2]
    assert [packed.about["label"] for packed in maps] == ["H2O"]
    assert f"keeps {eviction.keep_map.density():.1%} of" in document["verdict"]


def test_a_verification_has_its_insights_and_its_rivals():
    insights, rivals = shown("verification")[0]["tables"]
    assert [row[0] for row in insights["rows"]] == [1] and insights["rows"][0][7] == [None, None]
    assert rivals["rows"][0][5] == "other: 1.5" and re.search("against random", rivals["caption"])
