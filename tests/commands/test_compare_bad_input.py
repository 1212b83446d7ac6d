"""Every bad input: one line on stderr, exit code 2, nothing half-written."""

import json
import shutil
from pathlib import Path

import pytest

from keepmap.cli import main

COVERS = ("keepmap.commands.compare",)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty working folder, in which a refused run must leave nothing."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refused(capfd, place: Path, *arguments: str) -> str:
    before = sorted(place.rglob("*"))
    assert main(list(arguments)) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1 and error.endswith("\n")
    assert sorted(place.rglob("*")) == before
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "no verb was given; use one of compare, sample-data, train-surrogate, generate, tasks, sweep, methods"),
        ("compar", 'unknown verb "compar", did you mean "compare"?'),
        ("compare", "--data_path is missing (keepmap compare --help)"),
        ("compare --data_path", "Missing value for argument '--data_path'"),
        ("compare --data_path x --chunk-siz 3", 'unknown option "--chunk-siz" of compare, did you mean "--chunk_size"'),
        ("compare --data_path x --xyzzy 3", 'unknown option "--xyzzy" of compare, see keepmap compare --help'),
        ("compare --data_path x stray", "Unrecognized options: stray"),
        ("compare --data_path x --chunk_size one", 'expected --chunk_size to be an integer, got "one"'),
        ("compare --data_path x --max_samples 1.5", "--max_samples"),
        ("compare --data_path x --density half", "--density"),
        ("compare --data_path x --kvzap_model_type cnn", "invalid choice 'cnn' for argument '--kvzap_model_type'"),
        ("sample-data", "--out is missing (keepmap sample-data --help)"),
        ("sample-data --out data.jsonl --n_samples 0", "expected --n_samples to be an integer of 1 or more, got 0"),
        ("sample-data --out none/data.jsonl", "none/data.jsonl"),
        (
            "compare --data_path none.jsonl",
            "no data file at none.jsonl: no such file; `keepmap sample-data --out none.jsonl` makes one",
        ),
        (
            "compare --data_path none.jsonl --methods stream",
            'unknown method "stream" in --methods, did you mean "streaming_llm"',
        ),
        ("compare --data_path none.jsonl --executor rya", '"ray" or "ray://HOST:PORT", got "rya"; did you mean "ray"?'),
        ("compare --data_path none.jsonl --executor ray://head", 'as "ray://head-node:10001", got "ray://head"'),
        ("compare --data_path none.jsonl --executor ray --num_gpus 1", "got --num_gpus and an --executor, which has"),
        ("compare --data_path none.jsonl --chunk_size 0", "or more (1 is exact decoding), got 0"),
        ("compare --data_path x --mode twice", "invalid choice 'twice' for argument '--mode'"),
        ("compare --data_path x --context_length half", 'expected --context_length to be a number, got "half"'),
        ("compare --data_path x --mode once --chunk_size 4", 'expected no --chunk_size in mode "once", got 4'),
        ("compare --data_path x --context_length 0.5", 'expected no --context_length in mode "decode", got 0.5'),
        ("compare --data_path x --mode once --context_length 1.5", "a share of each text between 0 and 1, got 1.5"),
        ("compare --data_path none.jsonl --density 1.2", "expected --density to be a number in [0, 1], got 1.2"),
        (
            "compare --data_path none.jsonl --sliding-window-size -1",
            "expected --sliding_window_size to be an integer of 0 or more, got -1",
        ),
        ("compare --data_path none.jsonl --n-sink -1", "expected --n_sink to be an integer of 0 or more, got -1"),
        ('compare --data_path none.jsonl --thresholds {"kvzap":NaN}', "the threshold of kvzap in --thresholds is NaN"),
        ('compare --data_path none.jsonl --methods h2o --thresholds {"kvzap":1}', "names kvzap, which is not run"),
        ("compare --data_path none.jsonl --format gif", 'the format "gif" is not supported: known: pdf, png, svg'),
        ("compare --data_path none.jsonl --no_visualize --format gif", 'the format "gif" is not supported'),
        ("compare --data_path none.jsonl --format PNG", "no data file at none.jsonl"),
        ("compare --data_path none.jsonl --methods random --methods h2o", "--methods was given twice; give it once"),
        ("compare --data_path x --n-sink=3 --seed 1 --n_sink 4", "--n_sink was given twice"),
        ("compare --data_path x --no_visualize --no-visualize", "--no_visualize was given twice"),
        (f'compare --data_path x --thresholds {{"kvzap":1{"0" * 400}}}', "kvzap in --thresholds is a number too large"),
        ('compare --data_path x --thresholds {"baseline":1}', "the baseline keeps everything and has no threshold"),
        ("compare --data_path none.jsonl --num_gpus 99", "expected 99 GPUs, got"),
        ("compare --data_path none.jsonl --workers 0", "expected --workers to be 1 or more, got 0"),
    ],
)
def test_options(capfd, place, arguments, message):
    assert message in refused(capfd, place, *arguments.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"text": "a b c"}\nnope\n', "each line must be one JSON object, such as"),
        ('{"text": "a b c"}\n{"content": "d"}\n', 'line 2 of data.jsonl has no field "text", found "content"'),
        ('{"text": 5}\n', 'line 1 of data.jsonl has a number in the field "text"; it must be a string'),
        ('{"text": "abc"}\n{"text": "a"}\n', "the text of line 2 has fewer than 2 tokens"),
        (b'{"text": "\xff\xfe"}\n', "line 1 of data.jsonl is not UTF-8"),
        (json.dumps({"text": "long " * 100}), "has 500 tokens"),
    ],
)
def test_data(capfd, place, model_folder, content, message):
    (place / "data.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = ("compare", "--data_path", "data.jsonl", "--model_name", str(model_folder), "--strict")
    assert message in refused(capfd, place, *arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": 5}\nnope\n', 'line 1 of data.jsonl has a number in the field "text"; it must be a string'),
        ('{"text": ""}\n{"text": "a"}\n', "all 2 texts have fewer than 2 tokens"),
    ],
)
def test_where_nothing_is_left_what_would_be_skipped_is_an_error(capfd, place, model_folder, content, message):
    (place / "data.jsonl").write_text(content)
    assert message in refused(capfd, place, "compare", "--data_path", "data.jsonl", "--model_name", str(model_folder))


def test_a_text_longer_than_the_models_positions_says_what_max_length_does(capfd, place, model_folder):
    (place / "data.jsonl").write_text(json.dumps({"text": "long " * 100}))
    error = refused(capfd, place, "compare", "--data_path", "data.jsonl", "--model_name", str(model_folder))
    assert "has 256 positions; --max_length 256 would use the first 256 tokens of each text" in error


def broken(model_folder: Path, folder: Path, fault: str) -> Path:
    shutil.copytree(model_folder, folder)
    if fault == "no config":
        (folder / "config.json").unlink()
    elif fault == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    elif fault == "cut weights":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
    elif fault == "other weights":
        (folder / "model.safetensors").write_bytes(b"no tensors here")
    elif fault == "other architecture":
        (folder / "config.json").write_text('{"model_type": "bloom", "architectures": ["BloomForCausalLM"]}')
    return folder


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no config", "has no config.json"),
        ("no tokenizer", "has no tokenizer"),
        ("cut weights", "cannot load the weights"),
        ("other weights", "cannot load the weights"),
        ("other architecture", "BloomForCausalLM is not supported"),
    ],
)
def test_models(capfd, place, model_folder, data_file, tmp_path, fault, message):
    folder = broken(model_folder, tmp_path / "model", fault)
    error = refused(capfd, place, "compare", "--data_path", str(data_file), "--model_name", str(folder))
    assert message in error


def test_no_such_model_device_or_dtype(capfd, place, data_file):
    compare = ("compare", "--data_path", str(data_file))
    assert "no such folder" in refused(capfd, place, *compare, "--model_name", "./nothing")
    expected = 'expected --device to be "auto", "cpu", "cuda" or "cuda:N", got \'gpu\''
    assert expected in refused(capfd, place, *compare, "--device", "gpu")
    assert 'device "mps" is not supported' in refused(capfd, place, *compare, "--device", "mps")
    assert 'dtype "float23" is not supported, did you mean "float32"?' in refused(
        capfd, place, *compare, "--dtype", "float23"
    )


def test_a_surrogate_whose_sizes_do_not_fit(capfd, place, data_file, model_folder):
    from keepmap.language_model import EMBEDDED

    compare = ("compare", "--data_path", str(data_file), "--model_name", str(model_folder), "--methods", "kvzap")
    surrogate = EMBEDDED["tiny"] / "kvzap-linear"
    error = refused(capfd, place, *compare, "--kvzap_scorer_model", str(surrogate))
    assert "256" in error and "32" in error
    assert "surrogate" in refused(capfd, place, *compare)
    # `all` does not excuse a surrogate that was asked for and does not fit.
    assert "256" in refused(capfd, place, *compare[:-1], "all", "--kvzap_scorer_model", str(surrogate))


@pytest.mark.parametrize("output_dir", ["data.jsonl", "data.jsonl/results"])
def test_an_output_folder_that_cannot_be_written(capfd, place, output_dir):
    (place / "data.jsonl").write_text('{"text": "a b c"}')
    error = refused(capfd, place, "compare", "--data_path", "data.jsonl", "--output_dir", output_dir)
    assert f"cannot write into the folder {output_dir}" in error
    assert "name another with --output_dir" in error


def test_results_of_an_earlier_run_survive_a_refused_one(capfd, place, data_file):
    (place / "comparison_results").mkdir()
    (place / "comparison_results" / "comparison_summary.json").write_text("{}")
    refused(capfd, place, "compare", "--data_path", str(data_file), "--model_name", "./nothing", "--overwrite")
    assert (place / "comparison_results" / "comparison_summary.json").read_text() == "{}"


def test_somebody_elses_results_are_refused_before_anything_is_loaded(capfd, place, data_file):
    (place / "comparison_results").mkdir()
    (place / "comparison_results" / "detailed_results.json").write_text("{}")
    assert main(["compare", "--data_path", str(data_file), "--model_name", "./nothing"]) == 2
    out, error = capfd.readouterr()
    assert (out, "holds detailed_results.json, and no run of keepmap's that made it" in error) == ("", True)


def test_a_long_value_is_quoted_whole(capfd, place):
    assert "s" * 150 in refused(capfd, place, "compare", "--data_path", "x", "s" * 150)


def test_a_message_of_more_lines_is_printed_as_one(capfd, place):
    assert "no data file at a b: no such file" in refused(capfd, place, "compare", "--data_path", "a\n b")
