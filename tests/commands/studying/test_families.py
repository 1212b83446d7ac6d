"""`keepmap study --family`: lives under every compressor, without training; what is done is not done again."""

from pathlib import Path

import pytest

import keepmap.commands.studying.families as module
from keepmap.agents.study.lives import lived
from keepmap.cli import main
from tests.agents.checkpoint_folders import write_agent

COVERS = ["keepmap.agents.study.lives.lived"]
OPTIONS = ["study", "--family", "recall_room", "--compressors", "recency", "--budgets", "50", "--copies", "2"]
OF_FAMILY = {"env": "recall_room", "alg": "keeper", "env_options": {"episodes": 3}, "train_env_ratio": 0.5}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    for seed in (0, 1):
        agent = OF_FAMILY | {"n_transit": 18, "max_reward": 1.0, "train_seed": seed}
        write_agent(folder / f"runs/recall{seed}", weights_seed=seed, **agent)
    write_agent(folder / "runs/room")
    return folder


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_study_goes_on_where_it_was_and_ends_with_the_same_bytes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*OPTIONS, "--checkpoint", "runs/recall0", "runs/recall1", "--output_dir"]
    assert main([*command, "whole"]) == 0
    printed = capsys.readouterr().out
    assert (
        "recall_room horizon=6 episodes=3 size=3" in printed
        and "2 agents, 4 tasks that no training saw, each 2 times" in printed
    )
    assert "50 % shorter: " in printed and "recency 50%" in printed and "Saved whole/study.md" in printed
    done = []

    def stopping(*arguments: object) -> object:
        done.append(arguments)
        if len(done) == 2:
            raise KeyboardInterrupt
        return lived(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "lived", stopping)
    assert main([*command, "parts"]) == 130
    assert main([*command, "parts"]) == 0 and len(done) == 3
    for name in ("study.csv", "study.md", "family_study.json"):
        assert (Path("parts") / name).read_bytes() == (Path("whole") / name).read_bytes()
    assert main([*command, "parts"]) == 0 and len(done) == 3
    assert main(["report", "whole", "--out", "report.html"]) == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert "recency 50%: normalised return" in page and "keepmap study --family recall_room" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "runs/room"], "expected --checkpoint to be of recall_room, got an agent of darkroom"),
        ([], "no agent at runs/AD-recall_room-size9-seed0: no such folder"),
        (["--updates", "3"], "--updates is given, and a study of a family trains and draws nothing"),
        (["--workers", "2"], "--workers is given"),
        (["--format", "svg"], "--format is given"),
    ],
)
def test_what_is_refused_before_anything_is_written(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*OPTIONS, *options, "--output_dir", "refused"]) == 2
    assert message in capsys.readouterr().err and not Path("refused").exists()


def test_a_family_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "--family", "bandid"]) == 2
    assert "no configuration at config/env/bandid.yaml" in capsys.readouterr().err
