"""Methods on samples: against dense logits, with the checks that a run makes of itself."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError, ModelError, OutputError
from keepmap.kv.comparison import session as compare
from keepmap.kv.comparison.files import build_comparison, clear_results, complete_samples
from keepmap.kv.comparison.plan import plan_methods
from keepmap.kv.comparison.results import read_sample_result
from keepmap.kv.comparison.session import (
    NO_CHUNKING,
    Job,
    evaluate_sample,
    keep_map_path,
    label_stem,
    open_session,
    sample_result_path,
)
from keepmap.kv.eviction.evict import evict


def job(
    model_folder: Path, data_file: Path, output_dir: Path, methods: str = "streaming_llm", **options: object
) -> Job:
    (output_dir / "samples").mkdir(parents=True, exist_ok=True)
    plan = plan_methods(methods, sliding_window_size=16, h2o_local_window_size=32, **options)
    return Job(str(data_file), "text", None, None, str(model_folder), "auto", None, "mlp", plan, 1, 0, output_dir)


@pytest.fixture
def session(model_folder, data_file, tmp_path):
    return open_session(job(model_folder, data_file, tmp_path / "out", "streaming_llm random_validation h2o"), "cpu")


def test_sums_are_those_of_all_logits(session, tmp_path):
    results = {done.result.method: done.result for done in evaluate_sample(session, 1)}
    ids = torch.tensor(session.samples[1].ids)
    with torch.no_grad():
        full = session.language_model.model(ids[None]).logits[0, :-1].double().log_softmax(1)
    evicted = evict(session.language_model, ids, "streaming_llm", window=16).logits[:-1].double().log_softmax(1)
    n = len(ids)
    assert results[NO_CHUNKING].nll == pytest.approx(float(-full[torch.arange(n - 1), ids[1:]].sum()), rel=1e-5)
    assert results["baseline"].nll == pytest.approx(results[NO_CHUNKING].nll, rel=1e-6)
    assert results["streaming_llm"].nll == pytest.approx(float(-evicted[torch.arange(n - 1), ids[1:]].sum()), rel=1e-5)
    assert results["streaming_llm"].kl == pytest.approx(float((full.exp() * (full - evicted)).sum()), rel=1e-4)
    assert results["streaming_llm"].n_agreed == int((full.argmax(1) == evicted.argmax(1)).sum())
    assert results["streaming_llm"].entries.n_kept == 2 * 2 * 20
    assert results["streaming_llm"].tokens.n_kept == 20
    assert results["baseline"].entries.density() == results["baseline"].footprint == 1.0


def test_each_result_is_on_disk_before_the_next_method_starts(session, tmp_path):
    for done in evaluate_sample(session, 0):
        path = sample_result_path(tmp_path / "out", 0, done.result.method)
        assert read_sample_result(path) == done.result
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 5
    kept = KeepMap.load(keep_map_path(tmp_path / "out", "Random(threshold=1.0)"))
    assert kept.shape == (2, 2, len(session.samples[0].ids))
    list(evaluate_sample(session, 1))
    assert kept == KeepMap.load(keep_map_path(tmp_path / "out", "Random(threshold=1.0)"))


@pytest.mark.parametrize("felt", [True, False])
def test_an_eviction_that_changes_nothing_is_an_error_where_it_must_be_felt(session, monkeypatch, felt):
    def evicts_nothing(language_model, ids, method, **options):
        keep_map = evict(language_model, ids, method, **options).keep_map
        return replace(evict(language_model, ids, "baseline"), keep_map=keep_map, felt=felt)

    monkeypatch.setattr(compare, "evict", evicts_nothing)
    if not felt:
        assert len(list(evaluate_sample(session, 2))) == 5
        return
    with pytest.raises(ImpossibleResultError, match="StreamingLLM evicted entries of sample 2 .* nothing was evicted"):
        list(evaluate_sample(session, 2))


def test_a_text_of_equal_tokens_is_evicted_without_a_trace(model_folder, data_file, tmp_path):
    data_file.write_text('{"text": "' + "a" * 90 + '"}')
    session = open_session(job(model_folder, data_file, tmp_path / "out"), "cpu")
    results = {done.result.method: done.result for done in evaluate_sample(session, 0)}
    assert results["streaming_llm"].entries.n_kept == 2 * 2 * 20
    assert results["streaming_llm"].nll == pytest.approx(results["baseline"].nll)


@pytest.mark.parametrize("change", ["keep_map", "hidden_states"])
def test_streaming_and_random_that_disagree_are_an_error(session, monkeypatch, change):
    def disagrees(language_model, ids, method, **options):
        if getattr(method, "name", None) == "random_validation":
            eviction = evict(language_model, ids, method, **options)
            other = evict(language_model, ids, method, **options | {"window": 17})
            return replace(eviction, **{change: getattr(other, change)})
        return evict(language_model, ids, method, **options)

    monkeypatch.setattr(compare, "evict", disagrees)
    expiries = "different" if change == "keep_map" else "equal"
    with pytest.raises(ImpossibleResultError, match=f"disagree on sample 0 .* {expiries} expiries"):
        list(evaluate_sample(session, 0))


def test_a_nan_in_the_weights_is_an_error_that_names_the_method_and_sample(session):
    with torch.no_grad():
        session.language_model.model.lm_head.weight[3] = torch.nan
    with pytest.raises((ImpossibleResultError, ModelError), match=r"NaN|nan"):
        list(evaluate_sample(session, 0))


def test_all_leaves_out_what_has_no_surrogate_and_a_named_one_is_an_error(model_folder, data_file, tmp_path):
    session = open_session(job(model_folder, data_file, tmp_path, "all"), "cpu")
    assert {"kvzap", "kvzap_no_sink"}.isdisjoint(session.methods)
    assert [reason.split()[0] for reason in session.facts.left_out] == ["kvzap", "kvzap_no_sink"]
    with pytest.raises(ModelError, match="surrogate"):
        open_session(job(model_folder, data_file, tmp_path, "kvzap"), "cpu")


def test_a_comparison_counts_complete_samples_in_any_order(session):
    results = {}
    for index in (3, 0, 1):
        for done in evaluate_sample(session, index):
            results[index, done.result.method] = done.result
    del results[1, "h2o"]
    assert complete_samples(results, session.facts) == [0, 3]
    comparison = build_comparison(results, session.facts, {}, seed=0)
    backwards = build_comparison(dict(reversed(results.items())), session.facts, {}, seed=0)
    assert comparison is not None and comparison == backwards
    assert (comparison.complete, comparison.validated, comparison.baseline.n_samples) == (False, 2, 2)
    assert [row.avg_nll for row in comparison.methods] == sorted(row.avg_nll for row in comparison.methods)
    assert build_comparison({}, session.facts, {}, seed=0) is None


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))


def test_old_results_are_cleared_and_nothing_else(session, tmp_path):
    out = tmp_path / "out"
    list(evaluate_sample(session, 0))
    (out / "comparison_summary.json").touch()
    keep_map = (out / "H2O_keepmap.safetensors").read_bytes()
    assert len(files_under(out)) == 5 + 3 + 1
    theirs = {
        "notes.txt": b"",
        "samples/notes.txt": b"",
        "samples/sample_00000.json": b'{"text": "a user\'s own sample"}',
        "samples/sample_list.json": b'["keepmap-sample/1"]',
        "samples/sample_00001_h2o.json": b"not even JSON \xff",
        "mine_keepmap.safetensors": keep_map,
        "Random_keepmap.safetensors": b"no tensors",
        "KeyNorm_keepmap.safetensors": save({"weight": torch.zeros(2)}, metadata={"format": "pt"}),
        "KVzap_keepmap.safetensors": save({"weight": torch.zeros(2)}),
    }
    for name, content in theirs.items():
        (out / name).write_bytes(content)
    clear_results(out)
    assert files_under(out) == sorted(theirs)
    assert {name: (out / name).read_bytes() for name in theirs} == theirs


def test_what_cannot_be_cleared_is_an_output_error(tmp_path, monkeypatch):
    def refuses(path, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "timings.json").touch()
    (tmp_path / "comparison_summary.json").mkdir()
    monkeypatch.setattr(Path, "unlink", refuses)
    with pytest.raises(OutputError, match=r"cannot remove .*timings.json .* Permission denied; name another folder"):
        clear_results(tmp_path)


def test_labels_become_file_names():
    assert label_stem("Random(threshold=1.0)") + "_compression_heatmap.png" == (
        "Random_threshold_1.0__compression_heatmap.png"
    )
    assert label_stem("KVzap(no_sink)") == "KVzap_no_sink_"
    assert label_stem("a/b c-d.é") == "a_b_c-d._"


def test_a_keep_map_is_saved_as_the_same_bytes_every_time(session, tmp_path):
    keep_map = evict(session.language_model, torch.arange(40), "random", window=16).keep_map
    keep_map.save(tmp_path / "first")
    for _ in range(20):
        keep_map.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / "first").read_bytes()
    assert KeepMap.load(tmp_path / "again") == keep_map


def test_too_little_memory_says_what_was_too_large(session, monkeypatch):
    def does_not_fit(language_model, ids, method, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(compare, "evict", does_not_fit)
    n = len(session.samples[3].ids)
    with pytest.raises(
        ModelError, match=rf"sample 3 \(line 4, {n} tokens\) with baseline does not fit .* --max_length"
    ):
        list(evaluate_sample(session, 3))
