"""`keepmap attention` as users type it: the document's block and files, texts, what it refuses."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import MambaConfig, MambaForCausalLM

from keepmap.agents.acting.agent import load_agent
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.cli import main
from keepmap.commands.attention import visualize_attention
from keepmap.commands.looking import wings
from keepmap.commands.looking.samples import agent_samples, trajectory_samples
from keepmap.errors import InputError
from keepmap.insight import verify_agent
from tests.agents.checkpoint_folders import write_agent
from tests.forked import python

COVERS = (
    "keepmap.commands.looking.samples",
    "keepmap.commands.looking.wings",
)


REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(
    r"Sample 1:\n  Sequence length: (\d+)\n  Context tokens: (\d+)\n  Mean context attention: (\d\.\d{4})\n"
    r"  Attention std dev: (\d\.\d{4})\n  Max attention position: (\d+)\n  Recent/Distant ratio: (\d+\.\d\d)\n"
    r"  Attention entropy: (\d+\.\d\d)\n"
)


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A folder to work in, with an agent of two layers in runs/."""
    monkeypatch.chdir(tmp_path)
    return write_agent(tmp_path / "runs" / "AD-darkroom-seed0")


@pytest.fixture
def briefly(monkeypatch) -> None:
    """Agents whose suggestions play two episodes."""
    monkeypatch.setattr(wings, "verify_agent", partial(verify_agent.verify_agent, episodes=2))


OF_RUN = {"run.json", "index.jsonl", ".lock", "verification.json"}


def files(folder: Path) -> list[str]:
    """The results, without what a run goes on by."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in OF_RUN]
    kept = [path for path in paths if path.parent.name not in ("samples", "verification")]
    return sorted(path.relative_to(folder).as_posix() for path in kept)


def test_the_document_s_block_and_files(small, capsys) -> None:
    assert main(["attention", "--samples", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Checkpoint: runs/AD-darkroom-seed0/ckpt-10 (the newest in runs)\n")
    for layer in (0, 1):
        assert f"\nANALYZING LAYER {layer}\n================\n\nSample 1:\n" in out
    blocks = BLOCK.findall(out)
    assert len(blocks) == 2
    agent = load_agent("runs/AD-darkroom-seed0")
    profile = profile_attention(agent, agent_samples(agent, None, 2, None, 0)[0].looked)
    for layer, (length, context, mean, std, position, ratio, entropy) in enumerate(blocks):
        expected = profile.guide_statistics(layer)
        assert (int(length), int(context)) == (10, 9)
        assert (mean, std) == (f"{expected['mean']:.4f}", f"{expected['std']:.4f}")
        assert int(position) == expected["max_position"]
        assert (ratio, entropy) == (f"{expected['recent_distant_ratio']:.2f}", f"{expected['entropy']:.2f}")
    assert out.count("💡 INSIGHT: ") >= 2
    assert "\n\nThis is the one to use: it is for all layers and heads together" in out.split("OVERALL")[1]
    per_layer = [
        f"layer_{layer}/attention_{name}_layer{layer}.png"
        for layer in (0, 1)
        for name in ("heatmap_sample0", "heatmap_sample1", "lines_sample0", "lines_sample1", "summary")
    ]
    assert files(Path("figs/attention")) == sorted(["attention.json", *per_layer])


def test_every_line_fits_eighty_columns(small, briefly, capsys) -> None:
    assert main(["attention", "--samples", "2", "--verify"]) == 0
    code = ("   from compression_strategies import", "   keepmap.evict(")
    lines = [
        line for line in capsys.readouterr().out.splitlines() if not line.lstrip().startswith(("from", "keepmap."))
    ]
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert code


def test_the_result_says_what_was_found_and_the_same_command_gives_the_same_bytes(small, briefly) -> None:
    arguments = ["attention", "--samples", "2", "--seed", "3", "--verify", "--format", "svg"]
    written = []
    for folder in ("one", "two"):
        assert main([*arguments, "--output_dir", folder]) == 0
        written.append({name: (Path(folder) / name).read_bytes() for name in files(Path(folder))})
    assert written[0] == written[1]
    document = json.loads(written[0]["attention.json"])
    assert [layer["layer"] for layer in document["layers"]] == [0, 1]
    assert len(document["layers"][0]["guide_statistics"]) == len(document["samples"]) == 2
    assert len(document["layers"][1]["verdicts"]) == 2
    assert len(document["layers"][1]["verdicts"][0]) == 2
    assert document["verification"]["trials"]
    assert sorted(document["figures"]) == sorted(name for name in written[0] if name.endswith(".svg"))


def test_what_is_verified_is_what_was_printed(small, briefly, capsys) -> None:
    assert main(["attention", "--samples", "3", "--layers", "1", "--verify"]) == 0
    out = capsys.readouterr().out
    document = json.loads(Path("figs/attention/attention.json").read_text())
    assert {trial["layer"] for trial in document["verification"]["trials"]} == {1}
    assert document["verification"]["suggestion"] == document["suggestion"]
    assert "\nlayer 0\n" not in out


def test_of_texts_too(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.jsonl").write_text(
        "".join(json.dumps({"text": "The code of river is 4821. " * n}) + "\n" for n in (4, 6, 5))
    )
    arguments = ["attention", "--model_name", "tiny", "--data_path", "data.jsonl", "--layers", "1", "--verify"]
    assert main([*arguments, "--samples", "9"]) == 0
    out = capsys.readouterr().out
    assert "  3 of 9 samples: data.jsonl has no more texts\n" in out
    document = json.loads(Path("figs/attention/attention.json").read_text())
    assert document["verification"]["suggestion"] == document["suggestion"]
    assert document["verification"]["compared"][0]["suggestion"] == document["layers"][-1]["guide_insight"]["suggested"]


def test_an_agent_with_a_compressor_is_verified_as_it_acts(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_agent(tmp_path / "run", compressor={"name": "recency", "keep_recent": 4})
    assert main(["attention", "--checkpoint", str(run), "--samples", "2", "--verify"]) == 0
    out = capsys.readouterr().out
    assert "returns: the agent acts with recency; train one with what is suggested" in out
    document = json.loads(Path("figs/attention/attention.json").read_text())
    assert {trial["of"] for trial in document["verification"]["trials"]} == {3}, "the newest of four always stays"


def test_short_texts_are_left_out_and_said(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    texts = ["a", "b c", "The code of river is 4821. The code of stone is 9310.", "one two three four"]
    Path("data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert (
        main(["attention", "--model_name", "tiny", "--data_path", "data.jsonl", "--max_length", "8", "--verify"]) == 0
    )
    out = capsys.readouterr().out
    assert "  2 of 5 samples\n" in out
    assert "  Skipped: line 1 has fewer than 2 tokens\n  Skipped: line 2 has fewer than 6 tokens\n" in out
    assert "Nothing to verify: all texts have fewer than 14 tokens" in out


def test_lines_of_code_run_as_they_are_printed(small, capsys) -> None:
    assert main(["attention", "--samples", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    code = [f"{line}\n{lines[at + 1]}" for at, line in enumerate(lines) if line.startswith("from compression_")]
    assert len(code) >= 5
    script = "\n".join(f"{statement}\nassert hasattr(compressor, 'compress')" for statement in code)
    done = python("-c", script, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_the_output_is_one_line(small) -> None:
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    line = [sys.executable, "-m", "keepmap", "methods"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(line, env=variables, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device; make room on the disk\n"


def test_a_trajectory_is_early_middle_and_late(small, capsys) -> None:
    assert main(["attention", "--trajectory", "--layers", "1"]) == 0
    out = capsys.readouterr().out
    steps = [int(step) for step in re.findall(r"^Timestep (\d+) \(", out, re.M)]
    assert len(steps) == 3
    assert steps == sorted(steps)
    for phase in ("Early Exploration", "Mid Exploration/Exploitation", "Late Exploitation"):
        assert f"({phase}):" in out
    assert "ANALYZING LAYER 0" not in out
    assert "Over 3 samples of one life, means:\n" in out and " of one life, threshold" in out
    names = [
        f"trajectory_0/layer_1/attention_{kind}_timestep{step}_layer1.png"
        for kind in ("heatmap", "lines")
        for step in steps
    ]
    assert files(Path("figs/attention")) == sorted(
        ["trajectory_0/attention.json", *names, "trajectory_0/layer_1/attention_summary_layer1.png"]
    )


def test_moments_of_a_life_are_spread_over_it(small) -> None:
    agent = load_agent(small)
    samples = trajectory_samples(agent, "1,2", 3, 12, 0)
    assert [sample.context.step for sample in samples if sample.context] == [15, 39, 63]
    assert {sample.context.goal for sample in samples if sample.context} == {(1, 2)}
    with pytest.raises(InputError, match="expected `samples` to be at most 2, the learner's episodes, got 3"):
        trajectory_samples(agent, "1,2", 3, 2, 0)


def test_a_history_that_comes_again_is_looked_at_once() -> None:
    """This learner has converged by step 170: an agent sees the same in every later episode."""
    agent = load_agent("tiny")
    samples = trajectory_samples(agent, "4,2", 3, None, 0)
    assert [sample.stem for sample in samples] == ["timestep50", "timestep170"]
    assert samples[1].about == "goal (4, 2), learner 0; the same history at step 270"
    farthest = trajectory_samples(agent, None, 3, None, 0)
    assert {sample.context.goal for sample in farthest if sample.context} == {(6, 8)} and len(farthest) == 3


def test_histories_end_where_they_are_asked_to(small) -> None:
    agent = load_agent(small)
    usual, long = agent_samples(agent, "0,0", 1, None, 0)[0], agent_samples(agent, "0,0", 1, 5, 0)[0]
    assert usual.context is not None
    assert long.context is not None
    assert (usual.context.step, long.context.step) == (9, 27)
    assert long.context.history.times.tolist() == [list(range(15, 27))]
    both = agent_samples(agent, "0,0", 3, None, 0)
    assert [sample.context.learner for sample in both if sample.context] == [0, 1, 2]


def test_an_agent_with_a_compressor_is_seen_as_it_acts(tmp_path) -> None:
    run = write_agent(tmp_path / "run", compressor={"name": "uniform", "target_length": 4})
    agent = load_agent(run)
    (sample,) = agent_samples(agent, "0,0", 1, None, 0)
    assert sample.about.endswith("after 9 steps, of which uniform keeps 4")
    profile = profile_attention(agent, sample.looked)
    assert profile.shape[2] == 5
    assert profile.labels is not None
    assert profile.labels[-1] == "(2, 4)"


def test_a_trajectory_and_samples_lie_beside_each_other(small) -> None:
    assert main(["attention", "--samples", "1", "--layers", "0"]) == 0
    samples = files(Path("figs/attention"))
    assert main(["attention", "--trajectory", "--samples", "1", "--layers", "0"]) == 0
    both = files(Path("figs/attention"))
    assert set(samples) < set(both)
    assert main(["attention", "--samples", "1", "--layers", "0"]) == 0
    assert files(Path("figs/attention")) == both and not Path("figs/attention-2").exists()


def test_without_a_run_the_embedded_agent_is_looked_at(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (profile,) = visualize_attention(samples=1, layers=[3], goal="7,2")
    out = capsys.readouterr().out
    assert out.startswith("Checkpoint: tiny (the embedded agent: no checkpoint in runs)\nTransformer layers: 4\n")
    assert isinstance(profile, AttentionProfile)
    assert profile.layers == (3,)
    assert profile.landmarks is not None
    assert max(profile.landmarks.episodes) == 6


def test_texts_have_grids_too(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    texts = ["The code of river is 4821. The code of stone is 9310. The code of river is 4821.", "x"]
    Path("data.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    arguments = ["attention", "--model_name", "tiny", "--data_path", "data.jsonl", "--text_field", "body"]
    assert main([*arguments, "--samples", "1", "--max_length", "20", "--cmap", "Reds"]) == 0
    out = capsys.readouterr().out
    assert "  Sample 1: line 1 of data.jsonl, 20 tokens\n" in out
    assert "keepmap.evict(language_model, input_ids, " in out
    assert "Compressor" not in out
    grids = [f"attention_grid_sample0_{what}.png" for what in ("effective_positions", "entropy", "sink_mass")]
    assert [name for name in files(Path("figs/attention")) if "grid" in name] == grids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "nowhere"], "nowhere"),
        (["--layers", "2"], "expected --layers to be in 0..1, which the model has, got 2"),
        (["--goal", "9,9"], "got (9, 9)"),
        (["--goal", "north"], 'expected --goal to be a cell as x,y, for example 7,2, got "north"'),
        (["--samples", "0"], "expected --samples to be an integer of 1 or more, got 0"),
        (["--samples", "1000000000000"], "expected --samples to be an integer of 100000 or less"),
        (["--episodes", "0"], "expected --episodes to be 1 or more, got 0"),
        (["--format", "jpeg"], 'the format "jpeg" is not supported'),
        (["--cmap", "virdis"], 'did you mean "viridis"'),
        (["--dtype", "float64"], "--dtype is for language models"),
        (["--text_field", "body"], "--text_field is for language models"),
        (["--data_path", "x.jsonl"], "--data_path is for language models; name one with --model_name"),
        (["--model_name", "tiny"], "--model_name was given without texts"),
        (["--model_name", "tiny", "--data_path", "x.jsonl", "--goal", "1,1"], "--goal is for agents"),
        (["--model_name", "tiny", "--data_path", "missing.jsonl"], "missing.jsonl"),
        (["--model_name", "tiny", "--data_path", "short.jsonl"], "fewer than 2 tokens"),
        (
            ["--model_name", "tiny", "--data_path", "short.jsonl", "--max_length", "1"],
            "expected --max_length to be 2 or more, got 1",
        ),
        (["--output_dir", "taken"], "taken"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_it_refuses(small, capsys, arguments: list[str], message: str) -> None:
    Path("short.jsonl").write_text('{"text": ""}\n')
    Path("taken").write_text("a file")
    before = sorted(Path().rglob("*"))
    assert main(["attention", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
    assert sorted(Path().rglob("*")) == before, "nothing half-written"


def test_damaged_weights_are_said(small, capsys) -> None:
    (weights,) = (small / "ckpt-10").glob("model*.safetensors")
    tensors = load_file(weights)
    tensors["blocks.1.query.weight"][:] = float("nan")
    save_file(tensors, weights)
    assert main(["attention", "--samples", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "expected finite floats as blocks.1.query.weight, got others; train the agent again" in error
    assert error.count("\n") == 1
    assert files(Path("figs/attention")) == []


def test_a_model_without_attention_is_refused(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.jsonl").write_text('{"text": "some words to read"}\n')
    MambaForCausalLM(MambaConfig(vocab_size=32, hidden_size=8, num_hidden_layers=1)).save_pretrained("mamba")
    capsys.readouterr()
    assert main(["attention", "--model_name", "mamba", "--data_path", "data.jsonl"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Mamba" in error
    assert error.count("\n") == 1


def test_the_front_door(small) -> None:
    line = ["-W", "error", str(REPOSITORY / "visualize_attention.py"), "--samples", "1"]
    done = python(*line, cwd=Path())
    assert (done.returncode, done.stderr) == (0, "")
    assert "Figures saved to: figs/attention/" in done.stdout
    refused = python(*line, "--sample", "1", cwd=Path())
    assert refused.returncode == 2
    assert 'did you mean "--samples"' in refused.stderr
