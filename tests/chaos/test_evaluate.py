"""Whatever ends an evaluation of folds, the next start plays those that are left, and the bytes are a calm run's."""

from pathlib import Path

import pytest

from tests.agents.checkpoint_folders import write_agent
from tests.chaos.moments import Verb, fill_the_disk, finish, kill_at_moments, terminate_in_the_middle

COVERS = ("keepmap.core.runs.units",)
FOLDS = 9


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Verb:
    agents = tmp_path_factory.mktemp("agents")
    folds = [write_agent(agents / f"fold{k}", weights_seed=k, split=f"{k}/{FOLDS}") for k in range(FOLDS)]
    return Verb(
        words=["evaluate", "--checkpoint", *map(str, folds), "--episodes", "3"],
        out="evaluation_results",
        records="folds/fold_*.json",
        writer="keepmap.core.runs.units.write_record",
    )


@pytest.fixture(scope="module")
def calm(evaluation, tmp_path_factory) -> dict[str, bytes]:
    place: Path = tmp_path_factory.mktemp("calm")
    finish(evaluation, place)
    return evaluation.results(place)


def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(evaluation, calm, tmp_path):
    kill_at_moments(evaluation, tmp_path, calm, seed=0, most=4)


def test_a_disk_that_is_full_at_the_end(evaluation, calm, tmp_path):
    fill_the_disk(evaluation, tmp_path, calm, 9000)


def test_asked_to_end_it_says_so_and_goes_on(evaluation, calm, tmp_path):
    terminate_in_the_middle(evaluation, tmp_path, calm)
