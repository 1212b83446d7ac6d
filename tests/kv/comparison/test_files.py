"""The files of a comparison: each result by itself, and what is cleared of an earlier run."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from keepmap.core.keep_map import KeepMap
from keepmap.errors import OutputError
from keepmap.kv.comparison.files import (
    clear_results,
    keep_map_path,
    label_stem,
    sample_folder,
    sample_result_path,
    write_finished,
)
from keepmap.kv.comparison.results import read_sample_result
from keepmap.kv.comparison.session import Finished, Session, evaluate_sample


def evaluated(session: Session, index: int, folder: Path) -> list[Finished]:
    """The results of a sample, written."""
    sample_folder(folder).mkdir(parents=True, exist_ok=True)
    finished = [event for event in evaluate_sample(session, index) if isinstance(event, Finished)]
    for done in finished:
        write_finished(folder, done, session.facts.plans)
    return finished


def test_each_result_is_on_disk_and_of_the_first_sample_the_keep_map(session, tmp_path):
    for done in evaluated(session, 0, tmp_path / "out"):
        path = sample_result_path(tmp_path / "out", 0, done.result.method)
        assert read_sample_result(path) == done.result
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 5
    kept = KeepMap.load(keep_map_path(tmp_path / "out", "Random(threshold=1.0)"))
    assert kept.shape == (2, 2, len(session.samples[0].ids))
    evaluated(session, 1, tmp_path / "out")
    assert kept == KeepMap.load(keep_map_path(tmp_path / "out", "Random(threshold=1.0)"))


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))


def test_old_results_are_cleared_and_nothing_else(session, tmp_path):
    out = tmp_path / "out"
    evaluated(session, 0, out)
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
    with pytest.raises(
        OutputError, match=r"cannot remove .*timings.json .* Permission denied; give another `output_dir`"
    ):
        clear_results(tmp_path)


def test_labels_become_file_names():
    assert label_stem("Random(threshold=1.0)") + "_compression_heatmap.png" == (
        "Random_threshold_1.0__compression_heatmap.png"
    )
    assert label_stem("KVzap(no_sink)") == "KVzap_no_sink_"
    assert label_stem("a/b c-d.é") == "a_b_c-d._"
