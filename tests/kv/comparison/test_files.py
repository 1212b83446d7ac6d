"""The files of a comparison: each result by itself, and what of them a run that was stopped has left."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.core.keep_map import KeepMap
from keepmap.errors import OutputError
from keepmap.kv.comparison.files import (
    finished_results,
    keep_map_path,
    label_stem,
    result_files,
    sample_folder,
    sample_result_path,
    token_costs_path,
    write_finished,
)
from keepmap.kv.comparison.results import read_sample_result
from keepmap.kv.comparison.session import Finished, Session, evaluate_sample
from keepmap.kv.token_costs import TokenCosts
from tests.kv.comparison.jobs import RUN


def evaluated(session: Session, index: int, folder: Path) -> list[Finished]:
    """The results of a sample, written."""
    sample_folder(folder).mkdir(parents=True, exist_ok=True)
    finished = [event for event in evaluate_sample(session, index) if isinstance(event, Finished)]
    for done in finished:
        write_finished(folder, done, session.facts.plans, RUN)
    return finished


def test_each_result_is_on_disk_and_of_the_first_sample_the_keep_map(session, tmp_path):
    for done in evaluated(session, 0, tmp_path / "out"):
        path = sample_result_path(tmp_path / "out", 0, done.result.method)
        assert read_sample_result(path) == done.result
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 5
    assert TokenCosts.load(token_costs_path(tmp_path / "out", "h2o")).pieces == ()
    pieces = TokenCosts.load(token_costs_path(tmp_path / "out", "baseline_no_chunking")).pieces
    assert "".join(pieces).startswith("0: the quick brown fox") and len(pieces) == len(session.samples[0].ids)
    kept = KeepMap.load(keep_map_path(tmp_path / "out", "Random(threshold=1.0)"))
    assert kept.shape == (2, 2, len(session.samples[0].ids))
    evaluated(session, 1, tmp_path / "out")
    assert kept == KeepMap.load(keep_map_path(tmp_path / "out", "Random(threshold=1.0)"))


def test_labels_become_file_names():
    assert label_stem("Random(threshold=1.0)") + "_compression_heatmap.png" == (
        "Random_threshold_1.0__compression_heatmap.png"
    )
    assert label_stem("KVzap(no_sink)") == "KVzap_no_sink_"
    assert label_stem("a/b c-d.é") == "a_b_c-d._"


def test_what_is_left_is_found_and_what_is_damaged_or_of_another_run_is_not(session, tmp_path):
    out = tmp_path / "out"
    results = {(done.result.sample, done.result.method): done.result for done in evaluated(session, 0, out)}
    results |= {(done.result.sample, done.result.method): done.result for done in evaluated(session, 1, out)}
    assert finished_results(out, session.facts, RUN) == results
    assert finished_results(out, session.facts, "cd34") == {}
    sample_result_path(out, 1, "h2o").write_text("{}")
    keep_map_path(out, "H2O").write_bytes(b"damaged")
    token_costs_path(out, "baseline").write_bytes(b"damaged")
    assert finished_results(out, session.facts, RUN).keys() == results.keys() - {
        *((0, "h2o"), (1, "h2o"), (0, "baseline"))
    }


def test_a_keep_map_of_another_run_is_made_again(session, tmp_path):
    out = tmp_path / "out"
    results = {(done.result.sample, done.result.method) for done in evaluated(session, 0, out)}
    path = keep_map_path(out, "H2O")
    own = KeepMap.load(path)
    held = own.held.clone()
    held[0, 0, int(held[0, 0].nonzero()[0])] = False
    replace(own, held=held).save(path)
    assert finished_results(out, session.facts, RUN).keys() == results - {(0, "h2o")}


def test_two_methods_that_are_checked_against_each_other_are_done_again_together(session, tmp_path):
    out = tmp_path / "out"
    evaluated(session, 1, out)
    sample_result_path(out, 1, "random_validation").unlink()
    left = {method for _, method in finished_results(out, session.facts, RUN)}
    assert left == {"baseline_no_chunking", "baseline", "h2o"}


def test_a_record_that_cannot_be_synced_is_an_output_error(session, tmp_path, monkeypatch):
    def refuses(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("keepmap.kv.comparison.files.sync", refuses)
    with pytest.raises(OutputError, match="cannot write .*baseline_no_chunking_tokens.safetensors: Input/output error"):
        evaluated(session, 0, tmp_path / "out")
    assert not sample_result_path(tmp_path / "out", 0, "streaming_llm").exists()


def test_the_result_files_are_named_before_they_are_there(session):
    assert result_files(session.facts)[:2] == ["detailed_results.json", "comparison_summary.json"]
    assert "Random_threshold_1.0__keepmap.safetensors" in result_files(session.facts)
