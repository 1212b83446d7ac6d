"""The commands as users type them, each in a process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.forked import Forked, python

REPOSITORY = Path(__file__).parents[2]
METHODS = ("streaming_llm", "random_validation", "random", "h2o")
SETTINGS = ("--sliding_window_size", "16", "--h2o_local_window_size", "32")


def keepmap(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "keepmap", *arguments, cwd=cwd, **environment)


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process that is all its own."""
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "PYTHONIOENCODING": "utf-8"} | environment
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, encoding="utf-8", timeout=280)


def evaluated(stderr: str) -> list[str]:
    """What a run says on a stderr that is no terminal: a line for each sample, and nothing else."""
    results = [
        re.fullmatch(r"(\d+ of \d+) samples evaluated, \d+:\d\d:\d\d left", line) for line in stderr.splitlines()
    ]
    assert all(results), stderr
    assert not results or stderr.endswith(" 0:00:00 left\n")
    return [match[1] for match in results if match]


@pytest.fixture(scope="module")
def compared(model_folder, tmp_path_factory) -> tuple[Path, str]:
    """A run of four methods on four samples, of which one is too short."""
    folder = tmp_path_factory.mktemp("compared")
    texts = [f"{number}: " + "the quick brown fox and the lazy dog; " * (2 + number) for number in range(3)]
    texts.insert(1, "")
    (folder / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = keepmap(
        *("compare", "--data_path", "data.jsonl", "--model_name", str(model_folder)),
        *("--methods", *METHODS, *SETTINGS, "--format", "png,svg", "--output_dir", "one"),
        cwd=folder,
    )
    assert (done.returncode, evaluated(done.stderr)) == (0, ["1 of 3", "2 of 3", "3 of 3"])
    return folder, done.stdout


def test_the_guides_command_prints_the_guides_lines(tmp_path):
    from keepmap.kv.data.sample import sample_texts

    text = "\n".join(sample_texts(2))
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"text": text[start:4000]}) + "\n" for start in (0, 3900)))
    command = (
        "--data_path data.jsonl --kvzap_scorer_model nvidia/KVzap-mlp-Llama-3.1-8B-Instruct "
        "--methods streaming_llm random_validation --max_samples 10 --chunk_size 128"
    )
    script = str(REPOSITORY / "compare_compression_methods.py")
    done = python(script, *command.split(), cwd=tmp_path)
    assert (done.returncode, evaluated(done.stderr)) == (0, ["1 of 2", "2 of 2"])
    for label, stem in (("StreamingLLM", "StreamingLLM"), ("Random(threshold=1.0)", "Random_threshold_1.0_")):
        assert f"{'=' * 80}\nEvaluating: {label}\n{'=' * 80}\n\n{label} Results:\n  Perplexity: " in done.stdout
        picture = f"comparison_results/{stem}_compression_heatmap.png"
        assert (
            f"Generating compression visualization for {label}...\n"
            f"  Saved visualization to: {picture}\n"
            "    Tokens visualized: 1024\n"
            "    Overall density: 12.89% (132/1024 kept)\n"
            "    Protected tokens: 132 (sinks=4, window=128)\n"
            "    Compressible region density: 0.00% (0/892 kept)\n"
        ) in done.stdout
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "comparison_results" / f"{stem}_keepmap_layers.png").is_file()
    assert "No scores to visualize for Baseline" in done.stdout
    assert "Validation: StreamingLLM and Random(threshold=1.0) agree" in done.stdout
    rows = json.loads((tmp_path / "comparison_results" / "comparison_summary.json").read_text())["comparisons"]
    assert rows[0]["avg_nll"] == rows[1]["avg_nll"]


def test_what_is_printed_is_plain_and_fits(compared):
    _, out = compared
    assert "\x1b" not in out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "KV CACHE COMPRESSION METHODS COMPARISON" in out
    assert "  Samples: 3\n  Skipped: 1 of 4 texts\n    line 2 has fewer than 2 tokens\n" in out
    assert "Chunking Artifact:     ΔNLL: +0.0000" in out
    titles = {title for line in out.splitlines() if line.startswith("Method ") for title in re.split(" +", line)}
    assert titles >= {
        "NLL",
        "ΔNLL",
        "(n=3)",
        "%",
        "PPL",
        "Dens(all)",
        "Dens(comp)",
        "Footprint",
        "KL",
        "Top-1",
        "Seconds",
    }
    for row in ("Baseline (No Chunking)", "Baseline (Chunked)", "StreamingLLM", "Random(threshold=1.0)", "H2O"):
        assert len([line for line in out.splitlines() if line.startswith(f"{row} ")]) >= 2


def test_the_files_hold_the_figures(compared):
    folder, _ = compared
    detailed = json.loads((folder / "one" / "detailed_results.json").read_text())
    summary = json.loads((folder / "one" / "comparison_summary.json").read_text())
    assert summary["comparisons"] == detailed["comparison"]
    assert summary["baseline_nll"] == detailed["baseline"]["avg_nll"]
    assert detailed["complete"] is True
    assert set(detailed["methods"]) == {"baseline", "baseline_no_chunking", *METHODS}
    samples = detailed["methods"]["h2o"]["samples"]
    assert [(sample["sample"], sample["line"]) for sample in samples] == [(0, 1), (1, 3), (2, 4)]
    assert detailed["methods"]["h2o"]["avg_nll"] == pytest.approx(
        sum(sample["nll"] for sample in samples) / sum(sample["n_predicted"] for sample in samples)
    )
    configuration = detailed["configuration"]
    assert (configuration["skipped_lines"], configuration["seed"]) == ([2], 0)
    assert configuration["skipped"] == ["line 2 has fewer than 2 tokens"] and configuration["chat_template"] is False
    assert {"keepmap", "torch", "transformers"} <= set(configuration["versions"])
    assert json.loads((folder / "one" / "samples" / "sample_00002_h2o.json").read_text())["nll"] == samples[2]["nll"]
    assert not list(folder.rglob("*.part"))


def test_two_workers_write_the_same_bytes(compared, model_folder):
    folder, out = compared
    done = keepmap(
        *("compare", "--data-path", "data.jsonl", "--model-name", str(model_folder)),
        *("--methods", ",".join(METHODS), *SETTINGS, "--format", "png,svg", "--output-dir", "two", "--workers", "2"),
        cwd=folder,
    )
    assert (done.returncode, evaluated(done.stderr)) == (0, ["1 of 3", "2 of 3", "3 of 3"])
    names = {str(path.relative_to(folder / "one")) for path in (folder / "one").rglob("*.*")}
    assert {str(path.relative_to(folder / "two")) for path in (folder / "two").rglob("*.*")} == names
    assert len([name for name in names if name.endswith((".png", ".svg"))]) == 4 * 2 * 2
    for name in names - {"timings.json", "index.jsonl", "run.json"}:
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes(), name


def test_density_compares_all_by_the_budget_rule_without_pictures(model_folder, data_file, tmp_path):
    done = keepmap(
        *("compare", "--data_path", str(data_file), "--model_name", str(model_folder), *SETTINGS),
        *("--density", "0.25", "--no_visualize", "--max_samples", "1", "--include_observed_attention"),
        cwd=tmp_path,
    )
    assert (done.returncode, evaluated(done.stderr)) == (0, ["1 of 1"])
    assert "Left out: random_validation (--density puts every method under the budget rule)" in done.stdout
    assert "Left out: kvzap (" in done.stdout
    assert "n=1" in done.stdout
    assert "visualiz" not in done.stdout
    results = tmp_path / "comparison_results"
    assert not list(results.glob("*.png"))
    rows = json.loads((results / "comparison_summary.json").read_text())["comparisons"]
    assert {row["method_key"] for row in rows} >= {"random", "streaming_llm", "h2o", "observed_attention", "key_norm"}
    for row in rows:
        assert row["density"] == 0.25
        assert row["density_compressible"] == pytest.approx(0.25, abs=0.02)
        assert row["nll_delta_low"] is None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_leaves_what_is_finished(model_folder, tmp_path, workers):
    texts = [f"{number}: " + "the quick brown fox; " * 11 for number in range(400)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    # A shell that starts this test in the background leaves interrupts ignored, and programs inherit that.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from keepmap.cli import main; sys.exit(main())"
    )
    words = ["-c", code, "compare", "--data_path", "data.jsonl", "--model_name", str(model_folder)]
    words += ["--methods", "random,h2o", *SETTINGS, "--workers", workers, "--output_dir", "out"]
    process = Forked(words, tmp_path, error="error.txt")
    deadline = time.monotonic() + 200
    while len(list((tmp_path / "out" / "samples").glob("*_h2o.json"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    error = (tmp_path / "error.txt").read_text(encoding="utf-8")
    assert "Traceback" not in error
    log, interrupted = error.split("Interrupted: ")
    assert "Interrupted" not in log and re.search(r"^2 of 400 samples evaluated, \d:\d\d:\d\d left$", log, re.M)
    assert "of 400 samples are finished" in interrupted
    assert re.search(r"with every method: samples \d+, \d+", error)
    summary = json.loads((tmp_path / "out" / "comparison_summary.json").read_text())
    assert summary["complete"] is False
    assert 2 <= summary["comparisons"][0]["n_samples"] < 400
    for path in (tmp_path / "out" / "samples").iterdir():
        assert json.loads(path.read_text())["format"] == "keepmap-sample/2"


def test_sample_data_is_the_same_every_time(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        done = keepmap("sample-data", "--out", name, "--n-samples", "2", cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"Wrote 2 texts to {name}\n", "")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


def test_help_loads_no_torch_and_fits_80_columns(tmp_path):
    code = (
        "import sys\nfrom keepmap.cli import main\ntry:\n    main()\nfinally:\n"
        "    assert not {'torch', 'transformers', 'numpy', 'matplotlib'} & set(sys.modules), sys.modules.keys()"
    )
    for arguments in (["--help"], ["-h"], ["compare", "-h"], ["sample-data", "--help"], ["--version"]):
        done = run([sys.executable, "-c", code, *arguments], cwd=tmp_path, COLUMNS="80")
        assert (done.returncode, done.stderr) == (0, "")
        assert max(map(len, done.stdout.splitlines())) <= 80
    assert "keepmap 0." in done.stdout


def test_methods_lists_them_all(tmp_path):
    from keepmap.kv.method import method_names

    done = keepmap("methods", cwd=tmp_path)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for name in method_names():
        assert any(line.startswith(f"{name} ") for line in done.stdout.splitlines())


def test_an_error_is_one_line_and_exit_code_2(tmp_path):
    done = keepmap("compare", "--data_path", "none.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: no data file at none.jsonl: no such file; `keepmap sample-data --out none.jsonl` makes one\n"
    )
