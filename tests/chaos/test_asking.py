"""Whatever ends a sweep over tasks or an answer, the next start goes on, and the bytes are those of a calm run."""

from pathlib import Path

import pytest

from tests.chaos.moments import (
    MOMENTS,
    Verb,
    fill_the_disk,
    finish,
    kill_at_any_time,
    kill_at_moments,
    remove_in_the_middle,
    terminate_in_the_middle,
)

COVERS = ("keepmap.core.runs.units", "keepmap.core.runs.folder")


def asking(verb: str, workers: str = "1") -> Verb:
    of_tasks = ["--density", "0.3", "--n-samples", "2", "--answers", "teacher_forced"]  # the quickest
    options = {"tasks": of_tasks, "sweep": ["--density", "0.3", "0.6", "--n-samples", "3"]}[verb]
    more = ["--window", "16", "--length", "150", "--workers", workers, "--output-dir", "asked"]
    return Verb(
        words=[verb, "--tasks", "facts", "--methods", "random", "h2o", *options, *more],
        out="asked",
        records="answers/*.json",
        writer="keepmap.core.runs.units.write_record",
    )


GENERATE = Verb(
    words=[
        *("generate", "--prompt_file", "text.txt", "--density", "0.3"),
        *("--max_new_tokens", "9", "--output_dir", "said"),
    ],
    out="said",
    records="generation.json",
    writer="keepmap.commands.generate.write_generation",
)
VERBS = [("tasks", "1"), ("sweep", "1"), ("sweep", "2")] if MOMENTS > 10 else [("tasks", "1")]
"""Workers each import torch again."""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calm")


def results(calm: Path, verb: Verb) -> dict[str, bytes]:
    """What an undisturbed run makes."""
    place = calm / "_".join(verb.words).replace("/", "_")  # its protocol card has the command
    if not place.exists():
        place.mkdir()
        (place / "text.txt").write_text("The code of river is 4821. " * 6)
        finish(verb, place)
    return verb.results(place)


@pytest.mark.parametrize(("verb", "workers"), VERBS)
def test_killed_at_random_moments_it_ends_with_the_bytes_of_the_calm_run(calm, tmp_path, verb, workers):
    kill_at_moments(asking(verb, workers), tmp_path, results(calm, asking(verb, workers)), seed=3, most=4)


def test_an_answer_is_said_again(calm, tmp_path):
    (tmp_path / "text.txt").write_text("The code of river is 4821. " * 6)
    kill_at_any_time(GENERATE, tmp_path, results(calm, GENERATE), seed=4)


def test_a_signal_ends_it_with_what_is_finished(calm, tmp_path):
    terminate_in_the_middle(asking("tasks"), tmp_path, results(calm, asking("tasks")))


def test_a_folder_that_is_removed_in_the_middle(calm, tmp_path):
    remove_in_the_middle(asking("tasks"), tmp_path, results(calm, asking("tasks")), "answers", after=2)


def test_a_disk_that_is_full(calm, tmp_path):
    fill_the_disk(asking("tasks"), tmp_path, results(calm, asking("tasks")), 3000)
