"""Looks that go on: what is recorded is not done again, pictures that are there stay, other runs are left alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keepmap.agents.acting.agent import Agent
from keepmap.cli import main
from keepmap.commands import attention
from keepmap.commands.looking import pictures, wings
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.records import write_record
from keepmap.insight import verify_agent, verify_texts
from tests.commands.test_attention import briefly, files, small

__all__ = ["briefly", "small"]  # fixtures
COVERS = ("keepmap.commands.attention",)
TIMED = {"index.jsonl", "run.json", ".lock"}
AGENT = ["attention", "--samples", "1", "--layers", "1", "--verify"]


def results(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name not in TIMED]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def texts(tmp_path, monkeypatch) -> list[str]:
    """A command on the embedded language model, in a folder with two texts."""
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"text": "The code of river is 4821. " * n}) for n in (2, 3)]
    Path("data.jsonl").write_text("\n".join(lines))
    return ["attention", "--model_name", "tiny", "--data_path", "data.jsonl", "--verify", "--layers", "1", "--quiet"]


@pytest.fixture
def interrupted_at(monkeypatch) -> Callable[[object, str, int], list[int]]:
    """Interrupt the n-th call of a function, once; the calls are counted."""

    def interrupted_at(owner: object, name: str, n: int) -> list[int]:
        calls, function = list[int](), getattr(owner, name)

        def counted(*arguments: object, **options: object) -> object:
            calls.append(0)
            if len(calls) == n:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)
        return calls

    return interrupted_at


def test_a_verification_of_texts_goes_on_where_it_was(texts, interrupted_at, capsys) -> None:
    assert main([*texts, "--output_dir", "calm"]) == 0
    calm = results("calm")
    printed = capsys.readouterr().out
    costs = interrupted_at(verify_texts.ForgetfulText, "cost", 20)
    assert main(texts) == 130
    n_done = len(list(Path("figs/attention/verification").glob("*.json")))
    assert capsys.readouterr().err == f"Interrupted: {n_done} parts of the test by deletion finished\n" and n_done
    assert "verification" not in json.loads(Path("figs/attention/attention.json").read_text())
    assert main(["runs"]) == 0
    assert f"figs/attention: attention, stopped at {2 + n_done} of " in capsys.readouterr().out
    assert main(texts) == 0
    assert capsys.readouterr().out == printed.replace("calm", "figs/attention")
    assert results("figs/attention") == calm
    del costs[:]
    drawn = interrupted_at(pictures, "save_figure", -1)
    looked = interrupted_at(attention, "profile_attention", -1)
    assert main(texts) == 0
    assert capsys.readouterr().out == printed.replace("calm", "figs/attention")
    assert (costs, drawn, looked) == ([], [], []), "a finished run was done again"
    assert results("figs/attention") == calm


def test_a_verification_of_an_agent_goes_on_where_it_was(small, briefly, interrupted_at, capsys) -> None:
    assert main([*AGENT, "--output_dir", "calm"]) == 0
    calm, printed = results("calm"), capsys.readouterr().out
    assert {name for name in calm if name.startswith("verification/")} > {
        "verification/sample0.json",
        "verification/returns_whole.json",
    }
    played = interrupted_at(Agent, "play", 2)
    assert main(AGENT) == 130
    assert Path("figs/attention/verification/returns_whole.json").is_file()
    assert main(AGENT) == 0
    assert results("figs/attention") == calm
    n_played = len(played)
    capsys.readouterr()
    verified = interrupted_at(verify_agent, "costs_of", -1)
    assert main(AGENT) == 0
    assert len(played) == n_played and verified == []
    assert capsys.readouterr().out == printed.replace("calm", "figs/attention")


def test_what_was_verified_stays_so(small, briefly, interrupted_at, capsys) -> None:
    assert main(AGENT) == 0
    whole = results("figs/attention")
    assert main(AGENT[:-1]) == 0
    assert results("figs/attention") == whole
    shutil.rmtree("figs")
    assert main(AGENT[:-1]) == 0
    interrupted_at(wings, "verify_agent", 1)
    assert main(AGENT) == 130
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.startswith("figs/attention: attention, stopped at 1 of 2\n")
    assert main(AGENT) == 0
    assert results("figs/attention") == whole and not Path("figs/attention-2").exists()


@pytest.mark.parametrize("damage", [{"result": {"trials": 3}, "left_out": []}, {"result": {}, "left_out": 3}, [], {}])
def test_a_record_of_a_verification_that_is_none_is_made_again(small, briefly, damage) -> None:
    assert main(AGENT) == 0
    whole = results("figs/attention")
    run = json.loads(Path("figs/attention/run.json").read_text())["run"]
    write_record(Path("figs/attention/verification.json"), run, {"value": damage})
    assert main(AGENT) == 0
    assert results("figs/attention") == whole


def test_pictures_that_are_missing_or_of_another_format_are_drawn(small) -> None:
    look = ["attention", "--samples", "2"]
    assert main(look) == 0
    whole = results("figs/attention")
    Path("figs/attention/layer_1/attention_heatmap_sample1_layer1.png").unlink()
    Path("figs/attention/samples/sample0.safetensors").write_bytes(b"damaged")
    assert main(look) == 0
    assert results("figs/attention") == whole
    (Path("figs/attention") / "mine.png").write_bytes(b"mine")
    assert main([*look, "--format", "svg"]) == 0
    pictures = [name for name in files(Path("figs/attention")) if name.endswith((".png", ".svg"))]
    assert "mine.png" in pictures
    assert len(pictures) == 1 + 10 and sum(name.endswith(".svg") for name in pictures) == 10


def test_another_run_is_refused_or_has_its_own_folder(small, capsys) -> None:
    look = ["attention", "--samples", "1", "--layers", "0"]
    assert main(look) == 0
    whole = results("figs/attention")
    assert main(["attention", "--samples", "1", "--layers", "1"]) == 0
    assert "Figures saved to: figs/attention-2/\n" in capsys.readouterr().out
    assert main([*look, "--cmap", "Reds", "--output_dir", "figs/attention"]) == 2
    assert capsys.readouterr().err == (
        "error: figs/attention holds another run: --cmap is viridis there and Reds here; give --overwrite to replace "
        "it, or another --output_dir\n"
    )
    assert results("figs/attention") == whole
    (Path("figs/attention") / "layer_0" / "mine.png").write_bytes(b"mine")
    assert main(["attention", "--samples", "1", "--layers", "1", "--overwrite"]) == 0
    names = files(Path("figs/attention"))
    assert [name for name in names if name.startswith("layer_0")] == ["layer_0/mine.png"]
    assert "layer_1/attention_summary_layer1.png" in names


def test_another_run_of_texts_is_refused_before_the_model_is_loaded(texts, monkeypatch, capsys) -> None:
    words = [*texts, "--output_dir", "mine"]
    monkeypatch.setattr(wings, "load_language_model", None)
    known = {"samples": 5, "seed": 0, "cmap": "Reds", "model_name": "tiny", "max_length": None}
    with RunFolder(Path("mine"), wings.TextWing.known(known), overwrite=False) as place:
        place.begin([], [])
    assert main(words) == 2
    assert "mine holds another run: --cmap is Reds there and viridis here; give --overwrite" in capsys.readouterr().err
    assert main([*words, "--cmap", "Reds", "--samples", "4"]) == 2
    assert "mine holds another run: --samples is 5 there and 4 here" in capsys.readouterr().err
    Path("mine/run.json").unlink()
    Path("mine/attention.json").touch()
    assert main(words) == 2
    assert "mine holds attention.json, and no run of keepmap's that made it" in capsys.readouterr().err
