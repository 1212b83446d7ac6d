"""A run keeps what it has found so far."""

from contextlib import closing

from keepmap.kv.comparison.run import Run, n_results
from keepmap.kv.comparison.session import Finished
from tests.kv.comparison.jobs import job, place


def test_what_a_stopped_run_knows_of_itself(model_folder, data_file, tmp_path):
    run = Run(job(model_folder, data_file, tmp_path / "out", "random"), ["cpu"], place(tmp_path / "out"))
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
    comparison = run.comparison()
    assert comparison is not None and not comparison.complete
    assert [path.name for path in run.write(comparison)] == ["detailed_results.json", "comparison_summary.json"]
    assert (tmp_path / "out" / "timings.json").exists()
    assert repr(comparison).endswith("; it was stopped before its end")


def test_a_run_goes_on_where_it_was(model_folder, data_file, tmp_path):
    arguments = (job(model_folder, data_file, tmp_path / "out", "random,h2o"), ["cpu"])
    whole = Run(job(model_folder, data_file, tmp_path / "whole", "random,h2o"), ["cpu"], place(tmp_path / "whole"))
    list(whole.events())
    with place(tmp_path / "out") as first_place:
        first = Run(*arguments, first_place)
        with closing(first.events()) as events:
            for event in events:
                if isinstance(event, Finished) and len(first.results) == 6:
                    break
    with place(tmp_path / "out") as second_place:
        second = Run(*arguments, second_place)
        new = [(event.result.sample, event.result.method) for event in second.events() if isinstance(event, Finished)]
    assert (second.n_reused, len(new), set(new) & set(first.results)) == (6, 4 * 4 - 6, set())
    assert second.results == whole.results and second.seconds.keys() == whole.seconds.keys()
    assert second.comparison().document()["methods"] == whole.comparison().document()["methods"]
    with place(tmp_path / "out") as third_place:
        third = Run(*arguments, third_place)
        assert not [event for event in third.events() if isinstance(event, Finished)]
    assert third.seconds == second.seconds and min(third.seconds.values()) > 0
