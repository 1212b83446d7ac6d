"""Whatever ends the training of a surrogate, the next start goes on, and the bytes are those of a calm run."""

import json
import shutil
from pathlib import Path

import pytest

from tests.chaos.moments import (
    Verb,
    fill_the_disk,
    finish,
    kill_at_moments,
    remove_in_the_middle,
    terminate_in_the_middle,
)

COVERS = ("keepmap.kv.surrogate_training.state",)
TEXTS = 6


class Learning(Verb):
    """The rows of the texts count until the result is there; then they go."""

    def recorded(self, place: Path) -> dict[Path, int]:
        if (place / self.out / "explained_variance.json").exists():
            return {Path(f"{text}"): 0 for text in range(TEXTS - 1)}
        return {Path(f"{number}"): 0 for number in range(len(super().recorded(place)))}


@pytest.fixture(scope="module")
def calm(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verb]:
    """A folder with data and what an undisturbed training makes of it; and the command."""
    place = tmp_path_factory.mktemp("calm")
    texts = [f"{number}: the quick brown fox and the lazy dog" for number in range(TEXTS)]
    (place / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    options = ["--model_name", str(model_folder), "--kind", "mlp", "--hidden_dim", "8", "--epochs", "3"]
    verb = Learning(
        words=["train-surrogate", "--data_path", "data.jsonl", "--out", "out", *options],
        out="out",
        records="rows/*scores*",
        writer="keepmap.kv.surrogate_training.train.score_positions",
    )
    finish(verb, place)
    return place, verb


@pytest.fixture
def place(calm: tuple[Path, Verb], tmp_path: Path) -> Path:
    shutil.copy(calm[0] / "data.jsonl", tmp_path)
    return tmp_path


def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(calm, place):
    kill_at_moments(calm[1], place, calm[1].results(calm[0]), seed=5, most=4)


def test_a_signal_ends_it_with_what_is_finished(calm, place):
    terminate_in_the_middle(calm[1], place, calm[1].results(calm[0]))


def test_a_folder_that_is_removed_in_the_middle(calm, place):
    remove_in_the_middle(calm[1], place, calm[1].results(calm[0]), "rows", after=2)


@pytest.mark.parametrize("size", [900, 3000], ids=["at the beginning", "later"])
def test_a_disk_that_is_full(calm, place, size):
    fill_the_disk(calm[1], place, calm[1].results(calm[0]), size)
