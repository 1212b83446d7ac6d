"""Whatever ends a test by deletion, the next start goes on, and figures and results have the bytes of a calm run."""

import json
import shutil
from pathlib import Path

import pytest

from tests.chaos.moments import Verb, fill_the_disk, finish, kill_at_moments

COVERS = ("keepmap.core.runs.units",)
DATA = ["--model_name", "tiny", "--data_path", "data.jsonl"]
VERIFIED = Verb(
    words=["attention", *DATA, "--verify", "--layers", "0", "--quiet"],
    out="figs/attention",
    records="*/sample*.json",
    writer="keepmap.core.runs.units.write_record",
)


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("calm")
    texts = ["The code of river is 4821. " * n for n in (3, 4)]
    (folder / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    finish(VERIFIED, folder)
    return folder, VERIFIED.results(folder)


@pytest.fixture
def place(calm, tmp_path) -> Path:
    shutil.copy(calm[0] / "data.jsonl", tmp_path / "data.jsonl")
    return tmp_path


def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(calm, place):
    kill_at_moments(VERIFIED, place, calm[1], seed=0, most=5)


def test_a_disk_that_is_full_in_the_middle(calm, place):
    fill_the_disk(VERIFIED, place, calm[1], 20_000)
