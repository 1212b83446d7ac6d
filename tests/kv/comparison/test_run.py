"""A run keeps what it has found so far."""

from contextlib import closing

from keepmap.kv.comparison.run import Run, n_results
from keepmap.kv.comparison.session import Finished
from tests.kv.comparison.jobs import job


def test_what_a_stopped_run_knows_of_itself(model_folder, data_file, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "timings.json").touch()
    run = Run(job(model_folder, data_file, tmp_path / "out", "random"), ["cpu"])
    assert (run.comparison(), run.complete_samples(), run.begun_samples()) == (None, [], {})
    with closing(run.events()) as events:
        for event in events:
            if isinstance(event, Finished) and len(run.results) == 5:
                break
    assert run.facts is not None and n_results(run.facts) == 4 * 3
    assert (run.complete_samples(), run.begun_samples()) == ([0], {1: ["baseline_no_chunking", "baseline"]})
    assert (run.is_complete(0), run.is_complete(1)) == (True, False)
    assert run.seconds_left() > 0
    assert run.seconds_by_method()["baseline"] == run.seconds[0, "baseline"] + run.seconds[1, "baseline"]
    assert not (tmp_path / "out" / "timings.json").exists()
    comparison = run.comparison()
    assert comparison is not None and not comparison.complete
    assert [path.name for path in run.write(comparison)] == ["detailed_results.json", "comparison_summary.json"]
    assert (tmp_path / "out" / "timings.json").exists()
    assert repr(comparison).endswith("; it was stopped before its end")
