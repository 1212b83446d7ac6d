"""Whatever ends a collection, a training or a study, the next start goes on, and the bytes are those of a calm run.

Times are no results: those in `checkpoint.json` are left out, and so is the page of a study, which tells them.
"""

import json
import shutil
from pathlib import Path

import pytest

from keepmap.core.runs.folder import read_run_file
from tests.chaos.moments import (
    MOMENTS,
    Verb,
    fill_the_disk,
    finish,
    kill_at_moments,
    remove_in_the_middle,
    terminate_in_the_middle,
)

COVERS = ("keepmap.agents.collection.run", "keepmap.agents.training.run", "keepmap.agents.study.place")
SIZES = ["grid_size=3", "horizon=4", "max_reward=4", "n_stream=1000", "n_episodes=4", "tf_n_embd=8", "tf_n_layer=1"]
SHORT = ["tf_n_head=1", "tf_n_inner=8", "n_transit=8", "train_timesteps=40", "train_batch_size=2", "eval_interval=0"]
WORKERS = ("1", "2") if MOMENTS > 10 else ("1",)
"""Those of a study each import torch again."""


class Collecting(Verb):
    """Blocks count until the file is there, in whose place they go."""

    def recorded(self, place: Path) -> dict[Path, int]:
        file = next(map(read_run_file, (place / self.out).glob("*.run")), None)
        done = file.units if file is not None and file.finished else super().recorded(place)
        return {Path(Path(unit).name): 0 for unit in done}


class Training(Verb):
    """What is done of a training is what its last checkpoint says."""

    def recorded(self, place: Path) -> dict[Path, int]:
        last = max((int(path.name[5:]) for path in (place / self.out).glob("ckpt-*")), default=0)
        return {Path(str(number)): 0 for number in range(4, last + 1, 4)}

    def results(self, place: Path) -> dict[str, bytes]:
        return without_times(super().results(place))


class Studying(Verb):
    """A study of a training that lies beside it."""

    def results(self, place: Path) -> dict[str, bytes]:
        results = without_times(super().results(place))
        return {name: results[name] for name in results if Path(name).name not in ("study.md", "action_time.json")}


def without_times(results: dict[str, bytes]) -> dict[str, bytes]:
    for name in [name for name in results if name.endswith("checkpoint.json")]:
        results[name] = json.dumps(json.loads(results[name]) | {"seconds": 0, "checksum": 0}).encode()
    return results


COLLECT = Collecting(
    words=[
        *("collect", "--size", "3", "--horizon", "4", "--learners", "1000", "--episodes", "2", "--split", "all"),
        *("--out", "data/h.hdf5"),
    ],
    out="data",
    records="h.hdf5.run/blocks/*.json",
    writer="keepmap.agents.collection.run.write_record",
)
TRAIN = Training(
    words=["train", "--set", *SIZES, *SHORT, "ckpt_interval=4", "log_dir=run"],
    out="run",
    records="ckpt-*/checkpoint.json",
    writer="keepmap.agents.training.loop.save",
)


class CollectingToTrain(Collecting):
    """What a training collects for itself."""

    def forget(self, place: Path) -> None:
        super().forget(place)
        shutil.rmtree(place / TRAIN.out)


COLLECT_TO_TRAIN = CollectingToTrain(
    words=TRAIN.words,
    out="datasets",
    records="*.run/blocks/*.json",
    writer="keepmap.agents.collection.run.write_record",
)


def study(workers: str = "1") -> Studying:
    options = ["--compressors", "recency", "--budgets", "50", "--seeds", "1", "--updates", "2", "--copies", "1"]
    return Studying(
        words=["study", "--checkpoint", "run", *options, "--workers", workers],
        out="study_results",
        records="runs/*/result.json",
        writer="keepmap.agents.study.run.write_result",
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which undisturbed runs have made all that they make."""
    place = tmp_path_factory.mktemp("calm")
    for verb in (COLLECT, TRAIN, study()):
        finish(verb, place)
    return place


@pytest.fixture(params=[COLLECT, TRAIN, study()], ids=["collect", "train", "study"])
def verb(request: pytest.FixtureRequest) -> Verb:
    return request.param


@pytest.fixture
def place(calm: Path, tmp_path: Path, verb: Verb) -> Path:
    """What the verb needs."""
    for name in needed(verb):
        shutil.copytree(calm / name, tmp_path / name)
    return tmp_path


def needed(verb: Verb) -> tuple[str, ...]:
    return {"data": (), "run": ("datasets",), "study_results": ("datasets", "run")}[verb.out]


def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(calm: Path, place: Path, verb: Verb) -> None:
    kill_at_moments(verb, place, verb.results(calm), seed=len(verb.out), most=4)


@pytest.mark.parametrize("workers", WORKERS[1:])
def test_killed_with_its_workers(calm: Path, tmp_path: Path, workers: str) -> None:
    for name in needed(study()):
        shutil.copytree(calm / name, tmp_path / name)
    kill_at_moments(study(workers), tmp_path, study().results(calm), seed=int(workers), most=3)


def test_a_training_is_killed_while_it_collects(calm: Path, tmp_path: Path) -> None:
    kill_at_moments(COLLECT_TO_TRAIN, tmp_path, COLLECT_TO_TRAIN.results(calm), seed=7, most=2)
    assert TRAIN.results(tmp_path) == TRAIN.results(calm)


def test_a_signal_ends_it_with_what_is_finished(calm: Path, place: Path, verb: Verb) -> None:
    terminate_in_the_middle(verb, place, verb.results(calm))


def test_a_folder_that_is_removed_in_the_middle(calm: Path, place: Path, verb: Verb) -> None:
    folder = {"data": "h.hdf5.run/blocks", "run": ".", "study_results": "runs"}[verb.out]
    remove_in_the_middle(verb, place, verb.results(calm), folder, after=2)


@pytest.mark.parametrize("size", [900, 4000], ids=["at the beginning", "later"])
def test_a_disk_that_is_full(calm: Path, place: Path, verb: Verb, size: int) -> None:
    fill_the_disk(verb, place, verb.results(calm), size)
