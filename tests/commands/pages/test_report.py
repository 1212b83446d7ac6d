"""`keepmap report` and `compare --report`: the same page of the same run, in the folder of the run or elsewhere."""

import json
import re
import shutil

import pytest

from keepmap.commands.compare import compare_compression_methods
from keepmap.commands.pages.report import report_runs
from keepmap.errors import InputError, OutputError
from keepmap.kv.comparison.reading import read_comparison

COVERS = ("keepmap.commands.pages.report",)


def document(path) -> dict:
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)[1])


@pytest.fixture(scope="module")
def folder(model_folder, tmp_path_factory):
    """A run of two methods with its page."""
    place = tmp_path_factory.mktemp("run")
    texts = [f"{number}: the quick brown fox and the lazy dog; " * 3 for number in range(3)]
    (place / "spans.json").write_text('[{"name": "animals", "text": "brown fox"}]')
    (place / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    compare_compression_methods(
        place / "data.jsonl",
        model_name=model_folder,
        methods="random h2o",
        density=0.5,
        sliding_window_size=16,
        visualize_first_sample=False,
        report=True,
        spans=place / "spans.json",
        quiet=True,
        output_dir=place / "results",
    )
    return place / "results"


def test_compare_writes_a_page_that_says_how_to_have_it_again(folder, model_folder):
    (run,) = document(folder / "report.html")["runs"]
    data = folder.parent / "data.jsonl"
    assert run["command"] == (
        f"keepmap compare --data_path {data} --model_name {model_folder} --methods random h2o "
        "--mode decode --density 0.5 --sliding_window_size 16"
    )
    assert [span["name"] for span in run["spans"]] == ["animals"] * 3  # wherever the text stands
    assert [method["key"] for method in run["maps"]] and run["text"] is not None and run["name"] == "results"
    assert "report.html" in json.loads((folder / "run.json").read_text())["files"]


def test_the_page_of_a_run_that_is_done_is_the_same(folder, tmp_path, capsys):
    path = report_runs([folder], tmp_path / "report.html", spans=folder.parent / "spans.json")
    assert path.read_bytes() == (folder / "report.html").read_bytes()
    assert capsys.readouterr().out == f"Report saved to: {path}\n"
    assert read_comparison(folder).report(tmp_path / "mine.html").is_file()


def test_of_several_runs_all_are_on_the_page(folder, tmp_path):
    path = report_runs([folder, folder], tmp_path / "report.html", redact_text=True)
    assert len(document(path)["runs"]) == 2 and "quick" not in path.read_text()


def test_a_run_of_before_has_a_page_without_text(folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    for path in old.glob("*_tokens.safetensors"):
        path.unlink()
    (run,) = document(report_runs(old, tmp_path / "report.html"))["runs"]
    assert run["text"] is None and [method["nll"] for method in run["maps"]] == [None, None]


def test_what_cannot_be_is_one_line_before_anything_is_written(folder, tmp_path, unchecked):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(OutputError, match="mine.html is there and is not a report of keepmap's"):
        report_runs(folder, tmp_path / "mine.html")
    with pytest.raises(InputError, match="no folder of results was named"):
        report_runs()
    with pytest.raises(InputError, match="expected `run_dirs` to be folders of results, got 3"):
        report_runs(3)
    with pytest.raises(InputError, match="expected `run_dirs` to be"):
        report_runs([3])
    with pytest.raises(InputError, match="no spans at"):
        report_runs(folder, tmp_path / "new.html", spans=tmp_path / "none.json")
    with pytest.raises(InputError, match="no spans at"):
        compare_compression_methods("data.jsonl", report=True, spans=tmp_path / "none.json")
    with pytest.raises(InputError, match="got `spans` without `report`"):
        compare_compression_methods("data.jsonl", spans="spans.json")
    with pytest.raises(InputError, match="got `redact_text` without `report`"):
        compare_compression_methods("data.jsonl", redact_text=True)
    assert not (tmp_path / "new.html").exists() and (tmp_path / "mine.html").read_text() == "mine"
