"""The benchmarks run, compare equals with equals, and say what they found: on sizes too small to time anything."""

import importlib
import re
import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch

import keepmap
from keepmap.agents.environments import room_named
from keepmap.agents.environments.vector import RoomVectorEnv
from tests.forked import fork_programs, python

ROOT = Path(__file__).resolve().parent.parent
SIZES = ["--sizes", "160", "--methods-size", "170", "--memory-size", "300", "--cuda-sizes", "200", "--repeats", "1"]


def benchmark(*words: str) -> CompletedProcess[str]:
    """As `python WORDS`; what it begins is forked, too."""
    return python(*words, cwd=ROOT, timeout=280, first=fork_programs)


def test_the_benchmark_times_equal_results() -> None:
    command = ["benchmarks/bench_evict.py", *SIZES]
    done = benchmark(*command)
    assert done.returncode == 0, done.stderr
    rows = {}
    for line in done.stdout.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.setdefault(cells[0], cells)
    assert float(rows["160"][rows["tokens"].index("logits differ by")]) < 1e-4
    assert {"`random`", "`kvzap`", "`h2o`", "all eight", "300"} <= rows.keys()


def test_the_comparisons_benchmark_runs_on_any_model(tmp_path: Path) -> None:
    sizes = ["--model_name", "tiny", "--compare-size", "220", "--sizes", "200", "--repeats", "1"]
    command = ["benchmarks/bench_compare.py", *sizes]
    done = benchmark(*command)
    assert done.returncode == 0, done.stderr
    first = [line.strip("|").split("|")[0].strip() for line in done.stdout.splitlines()]
    assert {"220", "dense", "`random`", "`kvzap`", "`h2o`", "`expected_attention`"} <= {*first}
    missing = ["benchmarks/bench_compare.py", "--model_name", str(tmp_path)]
    done = benchmark(*missing)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "config.json" in done.stderr


def test_the_caches_benchmark_times_the_same_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("bench_cache")
    monkeypatch.setattr(module, "METHODS", ("h2o",))
    monkeypatch.setattr(module, "ANEW", ("keydiff",))
    assert module.main(["--model_name", "tiny", "--sizes", "200", "--tokens", "16", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    assert [row[1] for row in rows if row[0] == "200"] == [
        *("full", "one token, the limit", "`h2o`", "`keydiff`", "`h2o`")
    ]
    for row in rows:
        if row[0] == "200" and row[1] in ("`h2o`", "`keydiff`") and len(row) == 5:
            assert re.fullmatch(r"-?[\d.]+% \(-?[\d.]+% to -?[\d.]+%\)", row[4])
    full, entries, held = (float(cell) for cell in next(row for row in rows if row[0] == "200" and len(row) == 6)[2:5])
    assert entries <= held < 2 * entries and entries < full
    assert [row[0] for row in rows].count("dense prefill, all at once") == 1
    assert len([row for row in rows if row[-1] in ("met", "missed")]) == 3
    assert module.main(["--model_name", str(tmp_path)]) == 2  # a name that may be on the hub is asked for there


def test_deciding_is_timed_against_a_cache_that_holds_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("bench_cache")
    monkeypatch.setattr(module, "WINDOW", 16)
    tiny = keepmap.load_language_model("tiny")
    ids = (torch.arange(232) * 7919 + 13) % tiny.vocab_size
    caches = module.caches_of(tiny, ids[:200])
    own = {name: cache for name, cache in caches.items() if isinstance(cache, keepmap.EvictingCache)}
    assert list(own) == [*module.METHODS, *module.ANEW]
    assert [cache.terms.method.name for cache in own.values()] == list(own)
    twins = {f"{name}, nothing decided": module.Undecided(cache) for name, cache in own.items()}
    seconds = module.decode(tiny, own | twins, ids[200:])
    assert all(len(times) == 1 and times[0] > 0 for times in seconds.values())
    for cache, twin in zip(own.values(), twins.values(), strict=True):
        assert cache.get_seq_length() == twin.cache.get_seq_length() == 232
        for layer, other in zip(cache.layers, twin.cache.layers, strict=True):
            assert layer.held.slabs.counts.tolist() == other.held.slabs.counts.tolist()
            assert layer.held.slabs.counts.max() < 0.4 * 232
            assert other.held.columns.counts.tolist() == other.held.slabs.counts.tolist()


@pytest.mark.parametrize("python", [sys.executable, "no-such-python"])
def test_a_missing_kvpress_is_one_line(python: str) -> None:
    command = ["benchmarks/bench_evict.py", *SIZES, "--kvpress-python", python]
    done = benchmark(*command)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: --kvpress-python {python} cannot import kvpress; "
        "benchmarks/kvpress_decode.py says how to make an environment that can"
    ]


def test_the_agents_benchmark_runs() -> None:
    sizes = ["--windows", "24", "--copies", "2", "--steps", "8", "--batch", "2", "--repeats", "1", "--episodes", "2"]
    keys = ["grid_size=4", "n_transit=20", "train_timesteps=4", "ckpt_interval=2", "n_stream=2", "num_warmup_steps=1"]
    command = ["-W", "error", "benchmarks/bench_agent.py", *sizes, "--set", *keys]
    done = benchmark(*command)
    assert done.returncode == 0, done.stderr
    tables = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line[:1] == "|"
    ]
    first = [row[0] for row in tables]
    assert first[:4] == ["window", "-" * 8, "24", "window"]
    assert tables[2][1] == "4", "two held-out goals, two copies"
    assert [row[0] for row in tables if row[0] in ("2", "4")] == ["2", "4"], "a look at each checkpoint"
    assert "A held-out return of 14.1 was not reached in 4 updates." in done.stdout
    assert "supervised actions per second, window 24, fp32" in first


def test_the_room_of_the_other_way_is_the_same_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    goals = [(4, 2), (4, 4), (0, 0)]
    envs = RoomVectorEnv(room_named("darkroom"), 3, goals)
    envs.reset(seed=0)
    draws = np.random.default_rng(0)
    with importlib.import_module("room_process").RoomProcesses(goals) as rooms:
        for _ in range(50):
            actions = draws.integers(5, size=3)
            observations, rewards, _, truncated, _ = envs.step(actions)
            values = np.array(rooms.step(actions.tolist()))
            np.testing.assert_array_equal(values, np.column_stack([observations, rewards, truncated]))


def test_a_report_replaces_its_own_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("report")
    path = tmp_path / "RESULTS.md"
    for title, what in (("One", "old"), ("Two", "second"), ("One", "new")):
        report = module.Report(title)
        report.say(what)
        report.table("Table", ["a"], [["# no title"]])
        module.write_part(report, f"{title}.py", ["--write"], path)
    text = path.read_text()
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# One", "# Two"]
    assert "old" not in text and text.index("new") < text.index("# Two") < text.index("second")
    assert text.startswith("# One\n\nPrinted by `python benchmarks/One.py --write` on:\n\nnew\n\n## Table\n\n| a")
    again = module.Report("One")
    again.say("new")
    again.table("Table", ["a"], [["# no title"]])
    module.write_part(again, "One.py", ["--write"], path)
    assert path.read_text() == text


def test_a_report_begins_with_what_was_found_and_keeps_what_its_page_has_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("report")
    report = module.Report("Speed")
    head = [f"c{place}" for place in range(9)]
    report.table("Wide, of all", head, [["1,024", *map(str, range(1, 9))]], head[1:])
    report.goals([module.Goal("fast", 1.0, "x", "<=", 2.0), module.Goal("small", 9.0, " GB", "<=", 2.0)])
    module.write_part(report, "speed.py", [], tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# Speed\n\n1 of 2 goals are met.\nMissed: small (9 GB for ≤ 2 GB).\n\n## Goals\n")
    assert text.index("## Goals") < text.index("Printed by") < text.index("## Wide")
    assert "| c1 | c2 |" in text and "c0" not in text and text.endswith("[All columns](speed.csv)\n")
    assert (tmp_path / "speed.csv").read_text() == ",".join(head) + "\n1024,1,2,3,4,5,6,7,8\n"
    with pytest.raises(AssertionError, match="room for 8 columns"):
        report.table("Too wide", head, [])


def test_the_profiles_benchmark_times_equal_results() -> None:
    sizes = ["--sizes", "160", "--memory-size", "200", "--long-size", "300", "--cuda-sizes", "200", "--repeats", "1"]
    sizes += ["--command-repeats", "1"]
    command = ["benchmarks/bench_attention.py", *sizes]
    done = benchmark(*command)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    head = next(row for row in rows if "rows differ by" in row)
    first = next(row for row in rows if row[0] == "160")
    assert float(first[head.index("rows differ by")]) < 1e-5
    assert sum(row[0] == "profile" for row in rows) == 2
    assert any(row[0] == "44" for row in rows)


def test_the_insights_benchmark_counts_both_hosts() -> None:
    sizes = ["--learners", "1", "--texts", "1", "--length", "40", "--episodes", "1"]
    command = ["benchmarks/bench_insight.py", *sizes]
    done = benchmark(*command)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in done.stdout.splitlines()]
    counted = {(row[0], row[2]): row[3] for row in rows if len(row) == 6 and row[1].startswith("KL")}
    agents = counted["agent, 32 contexts", "ours"]
    both = counted["both", "ours"]
    texts = counted["language model, 1 texts", "ours"]
    assert int(both.split()[0]) == int(agents.split()[0]) + int(texts.split()[0])
    assert int(both.split()[2]) == int(agents.split()[2]) + int(texts.split()[2])


def test_a_sweep_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "The code of river is 4821. The code of stone is 77."}\n')
    options = ["--data_path", str(tmp_path / "data.jsonl"), "--output_dir", str(tmp_path / "out"), "--max_length", "40"]
    options += ["--model_name", "tiny", "--methods", "random", "--densities", "0.5", "--workers", "1"]
    command = ["-W", "error", "benchmarks/real_model.py", *options]
    runs, times = [], []
    for _ in range(2):
        runs.append(benchmark(*command))
        records = sorted((tmp_path / "out" / "density-0.5" / "samples").iterdir())
        times.append([record.stat().st_mtime_ns for record in records])
    first, second = runs
    assert first.returncode == second.returncode == 0, first.stderr
    assert times[0] == times[1] and len(times[0]) == 3
    assert first.stdout == second.stdout and "| 0.5     | Random |" in first.stdout
    assert (tmp_path / "out" / "cost_by_footprint.png").is_file()
    (tmp_path / "data.jsonl").write_text('{"text": "Other words in a file of the same name, which are another run."}\n')
    other = benchmark(*command)
    assert other.returncode == 2 and "holds another run: the data has changed" in other.stderr


def test_whether_the_scorer_matters_is_said_of_what_is_shown_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("scorers")
    noise = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    for mean, spread, expected in (
        (0.0, 0.001, "equivalent"),
        (0.0, 0.05, "open"),
        (0.004, 0.0005, "worse, by less than the margin"),
        (-0.004, 0.0005, "better, by less than the margin"),
        (0.3, 0.01, "worse"),
        (-0.3, 0.01, "better"),
    ):
        sums = 100 * (mean + spread * noise)[:, None]
        assert module.verdict(module.Differences(sums, np.full(5, 100.0)), margin=0.01) == expected
