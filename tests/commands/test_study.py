"""`keepmap study` as users type it: what it writes, what it says, what it does not do again, and what it refuses."""

import contextlib
import csv
import io
import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import keepmap.commands.study as module
from keepmap.agents.acting.agent import load_agent
from keepmap.agents.study.results import read_study
from keepmap.agents.study.run import do_job
from keepmap.cli import main
from keepmap.core.runs.lock import alone_in
from tests.agents.study.baselines import make_baselines

SMALL = ["--compressors", "recency,attention", "--budgets", "75", "--seeds", "1", "--updates", "3", "--copies", "1"]
RUNS = [
    *("attention-75-rollout-seed0", "attention-75-seed0", "baseline-rollout-seed0", "baseline-seed0"),
    *("recency-75-rollout-seed0", "recency-75-seed0"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_baselines(tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def study(*options: str, checkpoint: str = "runs/base0", workers: str = "1") -> int:
    return main(["study", "--checkpoint", *checkpoint.split(), *SMALL, "--workers", workers, *options])


@pytest.fixture(scope="module")
def whole(trained: Path) -> str:
    """What a study from its beginning to its end prints; its folder is `out`."""
    with contextlib.chdir(trained), contextlib.redirect_stdout(io.StringIO()) as printed:
        assert study("--output_dir", "out", "--format", "png,svg") == 0
    return printed.getvalue()


@pytest.fixture
def like_it(place: Path, whole: str) -> Callable[[str], Path]:
    """A copy of that folder, by another name."""
    return lambda name: Path(shutil.copytree(place / "out", place / name))


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


def test_histories_that_do_not_fit_are_refused_before_a_folder_is_made(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"d/{load_agent('runs/base0').config.histories_path().name}"
    sizes = ["--size", "4", "--horizon", "6", "--learners", "3", "--episodes", "5"]
    assert main(["collect", *sizes, "--out", path]) == 0
    capsys.readouterr()
    assert study("--output_dir", "refused", "--set", "traj_dir=d") == 2
    assert "holds histories with n_stream 3, and the configuration asks for 4" in capsys.readouterr().err
    assert not Path("refused").exists()


def test_a_study_from_beginning_to_end(
    place: Path, whole: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, message = place / "out", whole
    lines = message.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(message.split())
    assert "3 trainings of 3 updates and 3 runs without, 6 of them left to do, in 1 process" in text
    assert "every agent starts from the baseline's weights" in text and "the baseline goes on for as many" in text
    assert sorted(path.name for path in (out / "runs").iterdir()) == RUNS
    names = {"run.json", "study.json", "study.csv", "study.md", "timings.json", "study.png", "study.svg"}
    assert files_in(out).keys() == names
    assert [line for line in lines if line.startswith("Saved ")] == [
        *(f"Saved out/{name}" for name in ("study.json", "timings.json", "study.csv", "study.md")),
        "Saved out/study.png",
        "Saved out/study.svg",
    ]
    result = read_study(out / "study.json")
    assert [(row.compressor, row.percent, row.length, row.trained) for row in result.results] == [
        ("baseline", 0, 12, True),
        ("attention", 75, 3, True),
        ("recency", 75, 3, True),
        ("baseline", 0, 12, False),
        ("attention", 75, 3, False),
        ("recency", 75, 3, False),
    ]
    for row in result.results:
        assert f"{row.early.mean:.2f}" in message
    assert result.options["command"] == (
        "keepmap study --checkpoint runs/base0/ckpt-4 --compressors recency,attention --budgets 75 --seeds 1 "
        "--updates 3 --copies 1"
    )
    assert result.options["updates"] == 3 and result.options["checkpoints"] == ["runs/base0/ckpt-4"]
    seconds = json.loads((out / "timings.json").read_text())["seconds"]
    assert seconds.keys() == {"baseline", "attention 75%", "recency 75%"}
    assert seconds["recency 75%"].keys() == {"training_seconds", "1", "64"}
    assert seconds["baseline"].keys() == {"training_seconds", "1", "64", "again_1", "again_64"}
    rows = list(csv.DictReader((out / "study.csv").read_text().splitlines()))
    assert [row["compressor"] for row in rows] == [row.compressor for row in result.results]
    assert (
        float(rows[1]["early"]) == result.results[1].early.mean and float(rows[1]["flops"]) == result.results[1].flops
    )
    page = (out / "study.md").read_text()
    assert "  " not in page.replace("|  |", "")
    assert "\n- training s: on the clock, while other runs shared the machine" in page
    assert "](study.png)" in page and "| recency 75% |" in page and "| promised | of | measured | holds |" in page

    # The same command again does no run again, and writes the same bytes.
    before = files_in(out)
    monkeypatch.setattr(module, "do_job", None)
    assert study("--output_dir", "out", "--format", "png,svg") == 0
    assert files_in(out) == before
    assert "0 of them left to do" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("quick_workers")
def test_a_study_that_was_stopped_goes_on(
    place: Path, whole: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def stop(job: object, tell: object) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        do_job(job, tell)  # type: ignore[arg-type]
        done.append(str(job))

    options = ("--output_dir", "stopped", "--format", "png")
    with monkeypatch.context() as patch:
        patch.setattr(module, "do_job", stop)
        assert study(*options) == 130
    assert files_in(place / "stopped").keys() == {"run.json"} and len(done) == 2
    capsys.readouterr()
    assert main(["runs", "stopped"]) == 0
    words = ["keepmap", "study", "--checkpoint", "runs/base0", *SMALL, "--workers", "1", *options]
    assert capsys.readouterr().out.splitlines() == ["stopped: study, stopped at 2 of 6", f"  {shlex.join(words)}"]
    assert study(*options, workers="2") == 0
    assert "4 of them left to do, in 2 processes" in " ".join(capsys.readouterr().out.split())
    # As one that was not stopped, in one process.
    ours, theirs = files_in(place / "stopped"), files_in(place / "out")
    assert {name for name in ours if ours[name] != theirs[name]} <= {"timings.json", "study.md", "run.json"}


def test_a_wider_study_uses_the_runs_of_a_narrower_one(
    like_it: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    wider = like_it("wider")
    (wider / "notes.txt").write_text("mine")
    words = ["study", "--checkpoint", "runs/base0", *SMALL[2:], "--workers", "1", "--output_dir", "wider"]
    assert main([*words, "--compressors", "recency", "attention", "random"]) == 0
    assert "4 runs without, 2 of them left to do" in " ".join(capsys.readouterr().out.split())
    assert len(read_study(wider / "study.json").results) == 8
    assert (wider / "notes.txt").read_text() == "mine"


def test_seeds_have_their_own_baselines_and_from_scratch_has_its_own_training(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--compressors", "recency", "--budgets", "75", "--seeds", "2", "--copies", "1", "--from_scratch"]
    command = ["study", "--checkpoint", "runs/base0", "runs/base1", *arguments, "--workers", "1", "--output_dir", "two"]
    assert main(command) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Every agent, the baseline too, was trained from random weights for 4 updates." in text
    assert "One checkpoint was given" not in text
    result = read_study(place / "two" / "study.json")
    assert [row.n_seeds for row in result.results] == [2, 2, 2, 2] and result.options["from_scratch"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--compressors recensy", 'unknown compressor "recensy" as --compressors, did you mean "recency"?'),
        ("--budgets 150", "expected --budgets to be per cent in 0 to 100, got 150"),
        ("--budgets much", "--budgets"),
        ("--checkpoint nowhere", "no agent at nowhere: no such folder; train one with keepmap train"),
        (
            "--checkpoint runs/base0 runs/base1 --budgets 50",
            "(1), got 2; change --checkpoint or --seeds",
        ),
        ("--workers 0", "expected --workers to be 1 or more, got 0"),
        ("--updates 0", "expected --updates to be 1 or more, got 0"),
        ("--copies -1", "expected --copies to be 1 or more, got -1"),
        ("--format gif", 'the format "gif" is not supported'),
        ("--set lrr=1", 'unknown key "lrr", did you mean "lr"?'),
        ("--set init=tiny", "init in --set is not supported: a study sets it by itself; see --checkpoint"),
        ("--config nowhere.yaml", "no configuration at nowhere.yaml"),
        ("--set split=all", "the configuration has held-out goals"),
        ("--output_dir runs/base0/log.jsonl", "cannot write into the folder"),
    ],
)
def test_bad_input(place: Path, capsys: pytest.CaptureFixture[str], options: str, message: str) -> None:
    before = sorted(place.rglob("*"))
    words = options.split()
    if "--checkpoint" not in words:
        words += ["--checkpoint", "runs/base0"]
    assert main(["study", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert sorted(place.rglob("*")) == before


def test_another_study_in_the_same_folder_is_an_error(
    place: Path, like_it: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--compressors", "recency", "--budgets", "75", "--seeds", "1", "--copies", "1", "--output_dir", "same"]
    like_it("same")
    before = files_in(place / "same")
    assert main(["study", "--checkpoint", "runs/base0", *small, "--updates", "4"]) == 2
    assert capsys.readouterr().err == (
        "error: same holds another run: --updates is 3 there and 4 here; give --overwrite to replace it, or another "
        "--output_dir\n"
    )
    (place / "same" / "run.json").rename(place / "run.json")
    assert main(["study", "--checkpoint", "runs/base0", *small, "--updates", "4"]) == 2
    assert "holds a run with another train_timesteps; give another --output_dir" in (capsys.readouterr().err)
    (place / "run.json").rename(place / "same" / "run.json")
    assert files_in(place / "same") == before
    assert main(["study", "--checkpoint", "runs/base0", *small, "--workers", "1", "--updates", "4", "--overwrite"]) == 0
    assert read_study(place / "same" / "study.json").options["updates"] == 4


def test_outputs_are_replaced_when_the_new_ones_are_ready_and_by_one_study_alone(
    place: Path, like_it: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = like_it("again")

    def again(format: str) -> int:
        return study("--output_dir", "again", "--format", format)

    before = files_in(out)

    # A second one beside it is refused before it touches anything.
    with alone_in(out, "`keepmap study`", "`output_dir`"):
        assert again("png") == 2
    assert "error: another `keepmap study` is going on in again; wait for it, or give another --output_dir" in (
        capsys.readouterr().err
    )
    assert files_in(out) == before

    # A run that is done again: what there was stays until the new results are ready.
    run = out / "runs" / "recency-75-seed0"
    times = run / "action_time.json"
    times.write_text('{"1": 99.0, "64": 99.0}')
    (run / "result.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(module, "do_job", lambda job, tell: (_ for _ in ()).throw(KeyboardInterrupt))
        assert again("png") == 130
    assert {**files_in(out), "run.json": b""} == {**before, "run.json": b""}
    assert again("png") == 0
    assert json.loads((out / "timings.json").read_text())["seconds"]["recency 75%"]["1"] < 99, "measured again"
    assert files_in(out).keys() == before.keys() - {"study.svg"}

    before = files_in(out)
    for text in (
        "{",
        "[]",
        '{"1": 2.0}',
        '{"1": 2.0, "64": "fast"}',
        '{"1": 2.0, "64": -1.0}',
        '{"1": NaN, "64": 1.0}',
    ):
        times.write_text(text)
        capsys.readouterr()
        assert again("png") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "action_time.json" in error and "delete it to measure again" in error
    assert files_in(out) == before


def test_histories_are_collected_for_each_place_where_they_are_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base0, base1 = load_agent("runs/base0"), load_agent("runs/base1")
    homes = [replace(base0.config, traj_dir="here"), replace(base1.config, traj_dir="there")]
    agents = [replace(agent, config=config) for agent, config in zip((base0, base1), homes, strict=True)]
    collected: list[str | None] = []

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "load_baselines", lambda names: agents)
    monkeypatch.setattr(module, "collect_missing", lambda config, overwrite: collected.append(config.traj_dir))
    monkeypatch.setattr(module, "run_jobs", stop)
    words = ["--compressors", "recency", "--budgets", "75", "--seeds", "2", "--copies", "1", "--output_dir", "homes"]
    assert main(["study", "--checkpoint", "runs/base0", "runs/base1", *words]) == 130
    assert sorted(map(str, collected)) == ["here", "there"]
