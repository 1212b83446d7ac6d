"""The run folder of a training: the same one goes on, one without a run file too, another is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.agents.config import Config
from keepmap.agents.training.loop import Trained, finished_training, train, train_while
from keepmap.agents.training.run import TrainingRun
from keepmap.core.runs.folder import RUN_FILE, read_run_file
from keepmap.core.runs.listing import runs_under
from keepmap.errors import InputError


def done(config: Config, *, overwrite: bool = False, until: int | None = None) -> Trained:
    """A training in its run folder, stopped after an update or not at all."""

    def stop(share: float) -> None:
        if until is not None and round(share * config.train_timesteps) > until:
            raise KeyboardInterrupt

    run = TrainingRun(config, overwrite=overwrite)
    run.check()
    if run.is_finished():
        with run.held():
            return finished_training(config)
    return train_while(run.held, config, stop)


def results(folder: Path) -> dict[str, bytes]:
    """What is to be the same: all but times."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    for name in [name for name in files if name.endswith("checkpoint.json")]:
        files[name] = json.dumps(json.loads(files[name]) | {"seconds": 0, "checksum": 0, "config": 0}).encode()
    return {name: content for name, content in files.items() if name not in (".lock", RUN_FILE)}


def test_a_training_that_was_stopped_goes_on(config: Config, tmp_path: Path) -> None:
    calm = replace(config, log_dir=str(tmp_path / "calm"))
    train(calm)
    with pytest.raises(KeyboardInterrupt):
        done(config, until=7)
    (state,) = runs_under(tmp_path)
    assert state.state == "stopped at 5 of 12"
    assert done(replace(config, ckpt_interval=4)).began_at == 5
    assert results(tmp_path / "run") == results(tmp_path / "calm")
    assert runs_under(tmp_path)[0].state == "finished"
    again = done(config)
    assert (again.began_at, again.steps) == (12, 12) and runs_under(tmp_path)[0].state == "finished"


@pytest.mark.parametrize("until", [3, 7, None])
def test_a_folder_from_before_there_were_run_files_goes_on(config: Config, tmp_path: Path, until: int | None) -> None:
    def stop(share: float) -> None:
        if until is not None and round(share * 12) > until:
            raise KeyboardInterrupt

    if until is None:
        train(config)
    else:
        with pytest.raises(KeyboardInterrupt):
            train(config, progress=stop)
    with pytest.raises(InputError) if until != 3 else pytest.raises(KeyboardInterrupt):
        done(replace(config, lr=0.5, log_dir=config.log_dir if until != 3 else str(tmp_path / "x")), until=1)
    assert not (tmp_path / "run" / RUN_FILE).exists()
    assert done(config, overwrite=True).began_at == {3: 0, 7: 5, None: 12}[until], "it is the same run"
    file = read_run_file(tmp_path / "run")
    assert file is not None and file.finished and file.identity.verb == "train"


def test_another_training_is_refused_and_overwrite_removes_what_was_made(config: Config, tmp_path: Path) -> None:
    done(config)
    run = tmp_path / "run"
    before = results(run)
    with pytest.raises(
        InputError, match="run holds another run: `n_transit` is 12 there and 11 here; give `overwrite`"
    ):
        done(replace(config, n_transit=11))
    histories = config.histories_path()
    content = histories.read_bytes()
    try:
        histories.write_bytes(content + b" ")
        with pytest.raises(InputError, match="run holds another run: the data has changed"):
            done(config)
    finally:
        histories.write_bytes(content)
    assert results(run) == before
    for name in ("notes.txt", "ckpt-mine/model.safetensors", "evaluation.json"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    (run / "events.out.tfevents.1").write_text("")
    with pytest.raises(KeyboardInterrupt):
        done(replace(config, n_transit=11), overwrite=True, until=2)
    assert {path.relative_to(run).as_posix() for path in run.rglob("*.*") if path.is_file()} == {
        *("notes.txt", "ckpt-mine/model.safetensors", "evaluation.json"),
        *(".lock", RUN_FILE, "log.jsonl"),
    }


def test_a_start_that_is_gone_is_needed_by_no_run_that_has_begun(config: Config, tmp_path: Path) -> None:
    start, other = (replace(config, log_dir=str(tmp_path / name), train_seed=seed) for seed, name in enumerate("ab"))
    train(start)
    train(other)
    begun = replace(config, init=str(tmp_path / "a"))
    with pytest.raises(KeyboardInterrupt):
        done(begun, until=7)
    with pytest.raises(InputError, match="the checkpoint in init has changed"):
        done(replace(begun, init=str(tmp_path / "b")))
    with pytest.raises(InputError, match="`init` is true there and false here"):
        done(config)
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    assert done(begun).began_at == 5


def test_a_log_of_something_else_is_not_replaced(config: Config, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").write_text("mine\n")
    with pytest.raises(InputError, match=r"holds log.jsonl, and no run of keepmap's that made it"):
        done(config)
    assert (tmp_path / "run" / "log.jsonl").read_text() == "mine\n"
    done(config, overwrite=True)


def test_a_checkpoint_that_is_a_link_is_refused(config: Config, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ckpt-4").symlink_to(tmp_path)
    with pytest.raises(InputError, match="ckpt-4 is a symbolic link, and no checkpoint is written through one; remove"):
        TrainingRun(config, overwrite=True).check()


def test_a_checkpoint_that_a_killed_start_has_left_goes_with_the_next(config: Config, tmp_path: Path) -> None:
    last = done(config).checkpoint
    for step, names in (("5", ["checkpoint.json", "model.safetensors"]), ("10", ["training.safetensors"])):
        (tmp_path / "run" / f"ckpt-{step}").mkdir()
        for name in names:
            shutil.copy(last / name, tmp_path / "run" / f"ckpt-{step}")
    assert done(config).began_at == 12
    assert [path.name for path in (tmp_path / "run").glob("ckpt-*")] == ["ckpt-12"]
