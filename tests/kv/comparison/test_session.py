"""Methods on samples: against dense logits, with the checks that a run makes of itself."""

from dataclasses import replace

import pytest
import torch

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError, ModelError
from keepmap.kv.comparison import session as compare
from keepmap.kv.comparison.session import NO_CHUNKING, Finished, Passed, evaluate_sample, open_session
from keepmap.kv.eviction.evict import evict
from tests.kv.comparison.jobs import job

COVERS = ("keepmap.kv.comparison.checks", "keepmap.kv.comparison.kept")


def finished(session, index):
    return [event for event in evaluate_sample(session, index) if isinstance(event, Finished)]


def test_sums_are_those_of_all_logits(session, tmp_path):
    results = {done.result.method: done.result for done in finished(session, 1)}
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


@pytest.mark.parametrize(("dtype", "passes"), [("float32", 1), ("bfloat16", 2)])
def test_the_full_cache_is_read_once_where_rounding_does_not_show(
    model_folder, data_file, tmp_path, monkeypatch, dtype, passes
):
    of = []

    def noted(language_model, ids, method, **options):
        of.append(method)
        return evict(language_model, ids, method, **options)

    monkeypatch.setattr(compare, "evict", noted)
    session = open_session(replace(job(model_folder, data_file, tmp_path / "out"), dtype=dtype), "cpu")
    results = {done.result.method: done.result for done in finished(session, 1)}
    assert len(of) == passes
    assert results["baseline"].nll == pytest.approx(results[NO_CHUNKING].nll, rel=1e-2)
    assert results["baseline"].kl == 0 or dtype == "bfloat16"


def test_a_result_comes_with_its_keep_map_and_nothing_is_written(session, tmp_path):
    results = finished(session, 0)
    assert [done.keep_map is None for done in results] == [True, True, False, False, False]
    ids = torch.tensor(session.samples[0].ids)
    assert results[2].keep_map == evict(session.language_model, ids, "streaming_llm", window=16).keep_map
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("limit", "value"), [("HELD_BYTES", 1), ("HELD_SECONDS", 0.0)])
def test_a_method_is_measured_as_it_would_be_alone_whatever_waits_with_it(session, monkeypatch, limit, value):
    events = list(evaluate_sample(session, 1))
    order = [NO_CHUNKING, "baseline", "streaming_llm", "random_validation", "h2o"]
    assert events[:5] == [Passed(1, method) for method in order]
    assert [event.result.method for event in events[5:]] == order
    # Nothing may wait: each is measured after its own pass.
    monkeypatch.setattr(compare, limit, value)
    one_by_one = list(evaluate_sample(session, 1))
    assert [type(event) for event in one_by_one] == [Passed, Finished] * 5
    assert [event.result for event in one_by_one[1::2]] == [event.result for event in events[5:]]


@pytest.mark.parametrize("felt", [True, False])
def test_an_eviction_that_changes_nothing_is_an_error_where_it_must_be_felt(session, monkeypatch, felt):
    def evicts_nothing(language_model, ids, method, **options):
        keep_map = evict(language_model, ids, method, **options).keep_map
        return replace(evict(language_model, ids, "baseline"), keep_map=keep_map, felt=felt)

    monkeypatch.setattr(compare, "evict", evicts_nothing)
    if not felt:
        assert len(finished(session, 2)) == 5
        return
    with pytest.raises(ImpossibleResultError, match="StreamingLLM evicted entries of sample 2 .* nothing was evicted"):
        list(evaluate_sample(session, 2))


def test_a_text_of_equal_tokens_is_evicted_without_a_trace(model_folder, data_file, tmp_path):
    data_file.write_text('{"text": "' + "a" * 90 + '"}')
    session = open_session(job(model_folder, data_file, tmp_path / "out"), "cpu")
    results = {done.result.method: done.result for done in finished(session, 0)}
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
        ModelError, match=rf"sample 3 \(line 4, {n} tokens\) with streaming_llm does not fit .* `max_length`"
    ):
        list(evaluate_sample(session, 3))
