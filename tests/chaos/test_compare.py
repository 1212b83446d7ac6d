"""Whatever ends a comparison, the next start goes on, and the bytes are those of a calm run.

`make chaos` repeats it for longer: KEEPMAP_CHAOS says how many moments are tried.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.chaos.moments import Verb, fill_the_disk, finish, kill_at_moments, remove_in_the_middle

COVERS = ("keepmap.core.runs.*",)
WORKERS = ("1", "2")


def comparison(model_folder: Path, workers: str = "1") -> Verb:
    options = ["--methods", "random", "streaming_llm", "h2o", "--sliding_window_size", "16", "--quiet"]
    data = ["--data_path", "data.jsonl", "--model_name", str(model_folder)]
    return Verb(
        words=["compare", *data, *options, "--workers", workers],
        out="comparison_results",
        records="samples/sample_*.json",
        writer="keepmap.kv.comparison.results.write_record",
    )


@pytest.fixture(scope="module")
def calm(model_folder, tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A folder with data, and what an undisturbed run makes of it."""
    folder, verb = tmp_path_factory.mktemp("calm"), comparison(model_folder)
    texts = [f"{number}: " + "the quick brown fox and the lazy dog; " * 4 for number in range(6)]
    (folder / "data.jsonl").write_text("".join(json.dumps({"text": text[:120]}) + "\n" for text in texts))
    finish(verb, folder)
    return folder, verb.results(folder)


@pytest.fixture
def place(calm, tmp_path) -> Path:
    shutil.copy(calm[0] / "data.jsonl", tmp_path / "data.jsonl")
    return tmp_path


@pytest.mark.parametrize("workers", WORKERS)
def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(calm, place, model_folder, workers):
    kill_at_moments(comparison(model_folder, workers), place, calm[1], seed=int(workers))


def test_a_folder_that_is_removed_in_the_middle(calm, place, model_folder):
    remove_in_the_middle(comparison(model_folder), place, calm[1], "samples", after=4)


@pytest.mark.parametrize("size", [900, 9000], ids=["at the beginning", "at the end"])
def test_a_disk_that_is_full(calm, place, model_folder, size):
    fill_the_disk(comparison(model_folder), place, calm[1], size)
