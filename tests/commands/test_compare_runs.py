"""What a run leaves behind: after an error in mid-run, and of an earlier run; what it advises."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import keepmap
from keepmap.cli import main
from keepmap.commands import compare as command
from keepmap.errors import OutputError
from keepmap.kv.comparison import files as build
from keepmap.kv.comparison import session as compare
from keepmap.kv.eviction.evict import evict
from tests.forked import python

COVERS = ("keepmap.commands.compare", "keepmap.commands.comparing.blocks")
REPOSITORY = Path(__file__).parents[2]
TIMED = {"timings.json", "index.jsonl", "run.json"}


@pytest.fixture
def comparing(model_folder, data_file, tmp_path, monkeypatch) -> Callable[..., int]:
    """Run a comparison in this process, in a folder of its own; the exit code."""
    monkeypatch.chdir(tmp_path)

    def comparing(*options: str) -> int:
        command = ("compare", "--data_path", str(data_file), "--model_name", str(model_folder), "--device", "cpu")
        return main([*command, "--sliding_window_size", "16", "--output_dir", "out", *options])

    return comparing


def fails_after(n: int, error: Exception) -> Callable[..., object]:
    calls = []

    def fails(*arguments, **options):
        calls.append(arguments)
        if len(calls) > n:
            raise error
        return evict(*arguments, **options)

    return fails


def test_a_mode_is_on_record_and_another_one_is_another_run(comparing, capfd, tmp_path):
    mode = ("--methods", "key_norm", "--no_visualize", "--mode", "once", "--context_length")
    assert comparing(*mode, "20") == 0
    out, _ = capfd.readouterr()
    assert "  Mode: once (20 tokens read densely, one cut after it)\n" in out
    assert "Mode once: cut after 20 tokens;" in out
    options = json.loads((tmp_path / "out" / "run.json").read_text())["options"]
    assert (options["mode"], options["chunk_size"], options["context_length"]) == ("once", 1, 20)
    summary = json.loads((tmp_path / "out" / "comparison_summary.json").read_text())
    assert (summary["configuration"]["mode"], summary["configuration"]["context_length"]) == ("once", 20)
    comparison = keepmap.read_comparison(tmp_path / "out")
    assert comparison.context == "20 tokens" and comparison.keep_maps["key_norm"].context_length == 20
    assert {sample.n_tokens - sample.n_predicted for sample in comparison.samples} == {20}
    assert comparing(*mode, "0.5") == 2
    assert "context_length" in capfd.readouterr().err


def test_an_error_in_mid_run_leaves_a_summary_of_what_is_finished(comparing, capfd, tmp_path, monkeypatch):
    # Two samples with the baseline and one method each, and the baseline of a third.
    monkeypatch.setattr(compare, "evict", fails_after(2, torch.OutOfMemoryError("CUDA out of memory")))
    assert comparing("--methods", "random", "--no_visualize") == 2
    out, error = capfd.readouterr()
    lines = error.splitlines()
    assert [line.split(",")[0] for line in lines[:-1]] == ["1 of 4 samples evaluated", "2 of 4 samples evaluated"]
    assert lines[-1].startswith("error: sample 2 (line 3, ") and "does not fit" in lines[-1]
    assert "Stopped: 2 of 4 samples are finished\n  with every method: samples 0, 1 (in the result files too)" in out
    assert "  sample 2 with baseline_no_chunking, baseline\n" in out
    summary = json.loads((tmp_path / "out" / "comparison_summary.json").read_text())
    assert (summary["complete"], summary["comparisons"][0]["n_samples"]) == (False, 2)


def test_where_no_summary_can_be_written_the_first_error_is_told(comparing, capfd, tmp_path, monkeypatch):
    def is_full(path, document):
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(compare, "evict", fails_after(1, torch.OutOfMemoryError("CUDA out of memory")))
    monkeypatch.setattr(build, "write_document", is_full)
    assert comparing("--methods", "random", "--no_visualize") == 2
    out, error = capfd.readouterr()
    assert error.count("error: ") == 1 and "does not fit" in error
    assert "  with every method: samples 0\n" in out
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["run.json"]


def test_of_many_layers_the_table_comes_first_and_the_blocks_go_into_a_file(comparing, capfd, tmp_path, monkeypatch):
    options = ("--methods", "random", "h2o", "--h2o_local_window_size", "16", "--max_samples", "1")
    seconds = re.compile(r"\d+\.\d\d$", re.MULTILINE)

    def printed(*more: str) -> str:
        assert comparing(*options, *more) == 0
        # It is one run in one folder, and says from the second time on that it is finished.
        finished = "  Finished already: all 4 results are there\n"
        return seconds.sub("", capfd.readouterr().out).replace(finished, "")

    whole = printed()
    assert not (tmp_path / "out" / "methods.txt").exists()
    begin, table = (whole.index(f"\n{'=' * 80}\n{title}") for title in ("Evaluating: ", "COMPARISON SUMMARY"))
    head, blocks, rest = whole[:begin], whole[begin:table], whole[table:]
    end = rest.index("\nDetailed results saved to: ")
    monkeypatch.setattr(command, "FEW_LAYERS", 0)
    file = Path("out/methods.txt")
    named = f"\nEach method's block saved to: {file}\n"
    assert printed() == head + rest[:end] + named + rest[end:]
    assert file.read_text(encoding="utf-8") == blocks
    assert printed("--verbose") == head + rest[:end] + blocks + named + rest[end:]
    assert printed("--quiet") == rest[:end]
    assert file.read_text(encoding="utf-8") == blocks
    monkeypatch.setattr(command, "FEW_LAYERS", 4)
    assert printed("--quiet") == rest[:end] and file.exists()
    assert printed() == whole and not file.exists(), "a file of an earlier run would be taken for this one's"


def test_advice_is_on_the_console_where_blocks_are_not(comparing, capfd, monkeypatch):
    monkeypatch.setattr(command, "FEW_LAYERS", 0)
    assert (
        comparing("--methods", "random", "--thresholds", '{"random": -1}', "--no_visualize", "--max_samples", "1") == 0
    )
    assert "\nRandom: Nothing compressible was evicted: try " in capfd.readouterr().out


def test_verbose_and_quiet_exclude_each_other(comparing, capfd):
    assert comparing("--verbose", "--quiet") == 2
    assert capfd.readouterr().err == "error: expected one of --verbose and --quiet, got both; leave one of them out\n"


def test_the_advice_stands_below_the_statistics(comparing, capfd):
    assert comparing("--methods", "random", "--thresholds", '{"random": 2}', "--no_visualize") == 0
    assert (
        "    Compressible Region Density (w/o window): 0.00%\n"
        "    Everything compressible was evicted: try --density 0.2 or a lower threshold\n"
    ) in capfd.readouterr().out


SCRIPT = """
import keepmap
from compare_compression_methods import compare_compression_methods
assert compare_compression_methods is keepmap.compare_compression_methods
try:
    compare_compression_methods("none.jsonl", model_name=object())
except keepmap.InputError as error:
    print(error)
"""


def test_the_script_can_be_imported_as_old_code_does_and_loads_models_itself():
    done = python("-c", SCRIPT, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "expected `model_name` to be a name or a folder, got an object; keepmap.compare takes loaded models\n"
    )


def test_the_same_command_goes_on_where_it_was_and_another_is_refused(comparing, capfd, tmp_path, monkeypatch):
    assert comparing("--methods", "random", "h2o") == 0
    (tmp_path / "out").rename(tmp_path / "whole")
    whole = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").rglob("*.*")}
    monkeypatch.setattr(compare, "evict", fails_after(3, torch.OutOfMemoryError("CUDA out of memory")))
    assert comparing("--methods", "random", "h2o") == 2
    monkeypatch.setattr(compare, "evict", evict)
    capfd.readouterr()
    assert comparing("--methods", "random", "h2o") == 0
    assert "  Goes on: 7 of 16 results are there already\n" in capfd.readouterr().out
    assert differing(tmp_path / "out", whole) == set()
    for name in ("samples/sample_00002_h2o.json", "Random_keepmap.safetensors", "comparison_summary.json"):
        (tmp_path / "out" / name).unlink()
    assert comparing("--methods", "random", "h2o") == 0
    assert "  Goes on: 14 of 16 results are there already\n" in capfd.readouterr().out
    assert differing(tmp_path / "out", whole) == set()
    assert comparing("--methods", "random", "h2o", "--seed", "1") == 2
    assert capfd.readouterr().err == (
        "error: out holds another run: --seed is 0 there and 1 here; give --overwrite to replace it, or another "
        "--output_dir\n"
    )
    assert differing(tmp_path / "out", whole) == set()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert comparing("--methods", "random", "--seed", "1", "--overwrite") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "notes.txt" in names and not {name for name in names if name.startswith("H2O")}
    assert not list((tmp_path / "out" / "samples").glob("*_h2o.json"))


def differing(folder: Path, whole: dict[Path, bytes]) -> set[Path]:
    """Which files of a finished run differ from another's, but for times, and for the command that it says."""
    expected = {path: content for path, content in whole.items() if path.name not in TIMED}
    held = {path.relative_to(folder): path for path in folder.rglob("*.*") if path.name not in TIMED}
    return {path for path in {*expected, *held} if path not in held or expected.get(path) != held[path].read_bytes()}


def test_a_deleted_index_is_made_again_when_the_run_goes_on(comparing, capfd, tmp_path):
    quick, index = ("--methods", "random", "--no_visualize"), tmp_path / "out" / "index.jsonl"
    assert comparing(*quick) == 0
    units = {json.loads(line)["unit"] for line in index.read_text().splitlines()}
    index.unlink()
    (tmp_path / "out" / sorted(units)[0]).unlink()
    capfd.readouterr()
    assert comparing(*quick) == 0
    out, _ = capfd.readouterr()
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("Random ")][-1] == "-"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    assert {line["unit"] for line in lines} == units and len(lines) == len(units)
    assert [line["unit"] for line in lines if line["seconds"] is not None] == sorted(units)[:1]


@pytest.mark.parametrize(
    ("changed", "what"),
    [("data.jsonl", "the data has changed"), ("model.safetensors", "the model has changed")],
)
def test_data_and_weights_that_have_changed_are_another_run(comparing, capfd, tmp_path, model_folder, changed, what):
    shutil.copytree(model_folder, tmp_path / "model")
    options = ("--methods", "random", "--max_samples", "2", "--no_visualize", "--model_name", "model")
    arguments = ["compare", "--data_path", "data.jsonl", *options, "--output_dir", "out"]
    assert main(arguments) == 0
    file = tmp_path / changed if changed == "data.jsonl" else tmp_path / "model" / changed
    content = bytearray(file.read_bytes())
    content[-20 if changed == "model.safetensors" else 20] ^= 1
    file.write_bytes(content)
    capfd.readouterr()
    assert main(arguments) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"error: out holds another run: {what}; give --overwrite")


def test_results_that_no_run_tells_of_are_not_replaced(comparing, capfd, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "comparison_summary.json").write_text("mine")
    assert comparing("--methods", "random", "--max_samples", "1") == 2
    assert "out holds comparison_summary.json, and no run of keepmap's that made it" in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != ".lock"] == ["comparison_summary.json"]


def test_another_format_of_pictures_is_the_same_run(comparing, capfd, tmp_path):
    options = ("--methods", "streaming_llm", "--max_samples", "1", "--format")
    assert comparing(*options, "png") == 0
    (tmp_path / "out" / "mine_compression_heatmap.png").touch()
    capfd.readouterr()
    assert comparing(*options, "SVG") == 0
    assert "Finished already: all 3 results are there" in capfd.readouterr().out
    pictures = sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".png", ".svg"))
    stems = [f"StreamingLLM_{figure}.svg" for figure in ("compression_heatmap", "keepmap_layers")]
    assert pictures == sorted(["mine_compression_heatmap.png", *stems])
