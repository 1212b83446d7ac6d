"""`keepmap generate`: the answer, the report, the answers beside each other, the files, and what it refuses."""

import json
import os
import resource
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import keepmap
from keepmap.cli import main
from keepmap.kv.cache.stretch import stretch
from keepmap.kv.data.sample import sample_texts
from keepmap.kv.passes import LayerCall

OPTIONS = "--prompt_file prompt.txt --density 0.2 --window 16 --max_new_tokens 12"
FILES = ["cache_bytes.png", "generation.json", "keep_map.safetensors", "run.json", "timings.json"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt.txt").write_text("The code of river is 4821. The code of stone is 77.\n" * 6)
    (tmp_path / "question.txt").write_text("The code of stone is\n")
    return tmp_path


def run(words: str) -> int:
    return main(["generate", *words.split()])


def test_the_answer_the_report_and_the_answers_beside_each_other(place: Path, capsys) -> None:
    assert run(f"{OPTIONS} --question_file question.txt --compare") == 0
    out = capsys.readouterr().out
    prompt, question = (place / "prompt.txt").read_text(), "The code of stone is"
    expected = keepmap.generate(
        "tiny", prompt, "h2o", question=question, density=0.2, window=16, max_new_tokens=12, compare=True
    )
    assert out.startswith(f"{expected.text}\n\n{expected.n_prompt} tokens read, ")
    assert all(line in out for line in expected.lines()[:3])
    assert "H2O, density 0.2" in out and "| the full cache\n" in out and ">>>" in out
    assert f"The first difference is new token {expected.divergence}, counted from 0, at the mark >>>." in out
    assert sorted(os.listdir()) == ["prompt.txt", "question.txt"]


def test_quiet_is_the_answer_alone_and_a_newline_at_the_end_is_left_out(place: Path, capsys) -> None:
    assert run(f"{OPTIONS} --quiet") == 0
    first = capsys.readouterr().out
    (place / "prompt.txt").write_text((place / "prompt.txt").read_text().removesuffix("\n"))
    assert run(f"{OPTIONS} --quiet --compare --output_dir out") == 0
    assert capsys.readouterr().out == first
    generation = keepmap.read_generation("out")
    assert first == f"{generation.text}\n" and generation.full is not None


def test_a_run_folder_holds_one_generation(place: Path, capsys) -> None:
    assert run(f"{OPTIONS} --output_dir out") == 0
    first = capsys.readouterr().out
    assert set(os.listdir("out")) == {".lock", *FILES}
    before = {name: Path("out", name).read_bytes() for name in FILES}
    saved = [f"Saved {Path('out', name)}" for name in ("generation.json", "keep_map.safetensors", "cache_bytes.png")]
    assert first.splitlines()[-3:] == saved
    assert run(f"{OPTIONS} --output_dir out") == 0
    assert capsys.readouterr().out == first
    assert {name: Path("out", name).read_bytes() for name in FILES} == before
    assert run(f"{OPTIONS} --output_dir out --seed 3") == 2
    assert "out holds another run: --seed is 0 there and 3 here; give --overwrite" in capsys.readouterr().err
    assert run(f"{OPTIONS} --output_dir out --seed 3 --overwrite --format svg") == 0
    assert "cache_bytes.svg" in os.listdir("out") and "cache_bytes.png" not in os.listdir("out")
    assert main(["runs"]) == 0 and "out: generate, finished" in capsys.readouterr().out


def test_a_mode_is_said(place: Path, capsys) -> None:
    assert run(f"{OPTIONS} --question_file question.txt --method expected_attention --mode once --output_dir out") == 0
    first = capsys.readouterr().out
    assert "\nMode:  once, cut after " in first
    assert run(f"{OPTIONS} --question_file question.txt --method expected_attention --mode once --output_dir out") == 0
    assert capsys.readouterr().out == first
    assert run(f"{OPTIONS} --chunk_size 5") == 0 and "Mode:  chunked, 5 queries at a time" in capsys.readouterr().out


def test_a_text_that_is_shorter_than_sinks_and_window_is_said(place: Path, capsys) -> None:
    assert run("--prompt_file question.txt --max_new_tokens 3") == 0
    assert "Note:  nothing to evict: 9 tokens are no more than the 512 that are protected" in capsys.readouterr().out


def test_what_a_model_says_is_escaped(place: Path, capsys, monkeypatch) -> None:
    from transformers import PreTrainedTokenizerFast

    monkeypatch.setattr(PreTrainedTokenizerFast, "decode", lambda self, tokens, **_: "\x1b[2J " * len(tokens))
    assert run(OPTIONS) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\\x1b[2J" in out


def test_answers_of_other_tokens_that_read_alike_have_no_mark(place: Path, capsys, monkeypatch) -> None:
    generation = keepmap.generate("tiny", "The code of river is", "h2o", max_new_tokens=3, compare=True)
    answer = replace(generation.answer, tokens=(1, 2, 3))
    alike = replace(generation, answer=answer)
    monkeypatch.setattr("keepmap.commands.generate.generate", lambda *_, **__: alike)
    assert run(f"{OPTIONS} --compare") == 0
    out = capsys.readouterr().out
    assert "The first difference is new token 0, counted from 0, and both read alike." in out and ">>>" not in out


def test_where_the_memory_of_a_gpu_ends_it_is_one_line(place: Path, capsys, monkeypatch) -> None:
    def stop(call: LayerCall, *rest: object) -> torch.Tensor:
        if call.keys.shape[1] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has ...")
        return stretch(call, *rest)

    monkeypatch.setattr("keepmap.kv.cache.layer.stretch", stop)
    assert run(f"{OPTIONS} --output_dir out") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: reading 148 tokens with H2O does not go into the memory of cpu; give a shorter")
    assert error.count("\n") == 1 and sorted(os.listdir("out")) == [".lock", "run.json"]


def test_ctrl_c_while_it_speaks_writes_nothing(place: Path, monkeypatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("keepmap.commands.generate.write_generation", stop)
    assert run(f"{OPTIONS} --output_dir out") == 130
    assert sorted(os.listdir("out")) == [".lock", "run.json"]
    monkeypatch.undo()
    os.chdir(place)
    assert run(f"{OPTIONS} --output_dir out --quiet") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on file sizes")
def test_a_full_disk_is_one_line_and_nothing_half_written(place: Path, capsys) -> None:
    """A limit on the size of files stands for the full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        assert run(f"{OPTIONS} --output_dir out") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = capsys.readouterr().err
    assert error == "error: cannot write out/keep_map.safetensors: File too large\n"
    assert (
        sorted(os.listdir("out")) == [".lock", "run.json"]
        and not json.loads(Path("out/run.json").read_text())["finished"]
    )
    assert run(f"{OPTIONS} --output_dir out") == 0 and set(os.listdir("out")) == {".lock", *FILES}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--prompt_file none.txt", "no file at none.txt: no such file; name one that is there as --prompt_file"),
        ("--prompt_file empty.txt", "expected --prompt_file to hold a text, got an empty line"),
        ("--prompt_file prompt.txt --question_file .", "expected --question_file to be a file, got the folder ."),
        ("--prompt_file prompt.txt --method h20", 'unknown method "h20" as --method, did you mean "h2o"?'),
        (
            "--prompt_file prompt.txt --method expected_attention",
            "expected --method to be one that decides while the text is read, got expected_attention, whose scores "
            "need all of it; give --mode once, which reads a text whole and then cuts it, or another one",
        ),
        ("--prompt_file prompt.txt --mode chunked", "expected a --chunk_size of 2 or more in mode"),
        ("--prompt_file prompt.txt --mode once --chunk_size 4", "expected no --chunk_size in mode"),
        ("--prompt_file prompt.txt --density 2", "--density"),
        ("--prompt_file prompt.txt --density 0.2 --threshold 1", "expected one rule, got --threshold and --density"),
        ("--prompt_file prompt.txt --max_new_tokens 10000000", "tokens and --max_new_tokens 10000000; lower it"),
        ("--prompt_file prompt.txt --top_p 0.5", "give --temperature 1.0 too"),
        ("--prompt_file prompt.txt --overwrite", "expected --output_dir to be given with --overwrite, got none"),
        ("--prompt_file prompt.txt --format svg", "expected --output_dir to be given with --format, got none"),
        (
            "--prompt_file prompt.txt --compare --quiet",
            "got --compare and --quiet, and the comparison would not be seen",
        ),
        ("--prompt_file prompt.txt --chat_template", "no chat template; leave --chat_template out"),
        ("--prompt_file prompt.txt --output_dir prompt.txt", "prompt.txt is a file, not a folder"),
        ("--prompt_file prompt.txt --output_dir taken", "taken holds generation.json, and no run of keepmap's"),
        ("--prompt_file long.txt", "expected --prompt_file to be at most 131072 tokens"),
    ],
)
def test_bad_input_is_one_line(place: Path, capfd, words: str, message: str) -> None:
    (place / "empty.txt").write_text("\n")
    if "long.txt" in words:
        (place / "long.txt").write_text(" ".join(sample_texts(1)) * 60)
    (place / "taken").mkdir()
    (place / "taken" / "generation.json").write_text("mine")
    assert run(words) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert (place / "taken" / "generation.json").read_text() == "mine"
