"""What can be said of lives: normalised returns, who beats whom, how few are enough, what is on a front."""

from dataclasses import replace

import pytest

from keepmap.agents.study.lives import FamilyStudy, Lived, findings_of
from keepmap.errors import InputError
from tests.agents.study.lives.some_lives import BEST, COPIES, EPISODES, LIVES, RANDOM, TASKS

COVERS = ["keepmap.agents.study.lives.findings"]


@pytest.fixture(scope="module")
def study() -> FamilyStudy:
    return findings_of(LIVES, BEST, RANDOM, {"world": "bandit"}, {"keepmap": "0"})


def test_rows_are_normalised_the_baseline_first(study: FamilyStudy) -> None:
    assert [row.label for row in study.results] == ["baseline", "bad 50%", "bad 80%", "good 50%", "good 80%"]
    assert [row.normalised for row in study.results] == pytest.approx([0.93, 0.5, 0.2, 0.93, 0.925])
    assert [row.middle for row in study.results] == pytest.approx([0.93, 0.5, 0.2, 0.93, 0.925], abs=0.005)
    assert study.results[0].reached == 1 and study.results[1].reached is None
    assert study.results[2].regret == pytest.approx(4 * 0.8 * EPISODES)
    assert (study.end, study.tasks, study.agents, study.copies) == ((7, 8), TASKS, 2, COPIES)
    assert set(study.rows[0]) == set(study.header) and set(study.columns) <= set(study.header)
    assert "0.930" in repr(study) and study.to_csv().count("\n") == 6


def test_verdicts_are_of_one_budget_and_say_what_is_equal(study: FamilyStudy) -> None:
    assert list(study.verdicts) == [50.0, 80.0]
    text = "\n".join(study.verdicts[80.0])
    assert "baseline beats" in text and "good beats bad" in text and f"n={TASKS}" in text
    assert "equal within 0.05 of the normalised return: good = baseline" in "\n".join(study.verdicts[50.0])


def test_the_least_budget_is_one_of_the_share_that_is_kept(study: FamilyStudy) -> None:
    least = {(line["compressor"], line["share"]): line for line in study.critical}
    assert least["good", 0.95]["at_most"] and least["good", 0.95]["footprint"] == pytest.approx(0.2)
    assert 0.8 < least["bad", 0.9]["footprint"] < 1 and not least["bad", 0.9]["at_most"]


def test_a_front_has_what_nothing_else_beats_for_less(study: FamilyStudy) -> None:
    fronts = {row.label: row.fronts.split() for row in study.results}
    assert fronts["bad 50%"] == [] and fronts["good 80%"] == ["kept", "bytes"] and "flops" in fronts["baseline"]


def test_milliseconds_have_a_front_where_each_result_is_measured(study: FamilyStudy) -> None:
    times = {"baseline": 0.003, "good 50%": 0.002, "good 80%": 0.001, "bad 50%": 0.0015, "bad 80%": 0.001}
    measured = replace(study, times=times)
    on_it = [row.label for row, costs in zip(measured.results, measured.fronts, strict=True) if "milliseconds" in costs]
    assert on_it == ["good 50%", "good 80%"] and measured.rows == study.rows
    fewer = replace(study, times={"baseline": 0.003})
    assert fewer.fronts == study.fronts == tuple(tuple(row.fronts.split()) for row in study.results)


def test_a_life_that_pays_nothing_at_its_end_is_refused() -> None:
    with pytest.raises(InputError, match="the last quarter of a life pays"):
        findings_of(LIVES, RANDOM, RANDOM, {}, {})


def test_lives_are_read_as_they_were_written() -> None:
    again = Lived.from_document(LIVES[0].document())
    assert again.document() == LIVES[0].document()
    with pytest.raises(ValueError, match="not those of agents"):
        Lived.from_document(LIVES[0].document() | {"returns": [1.0]})
