"""A study of a family as it is printed: findings first, a table of eight columns at most."""

from dataclasses import replace

from keepmap.agents.study.lives import FamilyStudy, findings_of
from keepmap.printing.lives import HEAD, findings, lives_page, lives_table
from tests.agents.study.lives.test_findings import BEST, LIVES, RANDOM


def study() -> FamilyStudy:
    return findings_of(LIVES, BEST, RANDOM, {"world": "bandit", "command": "keepmap study --family bandit"}, {})


def test_findings_say_who_beats_whom_at_each_budget_and_how_few_are_enough() -> None:
    lines = findings(study())
    assert lines[0].startswith("The whole history: normalised return 0.93 [") and "episodes 7 to 8" in lines[0]
    assert lines[1].startswith("50 % shorter: ") and any(line.startswith("80 % shorter: ") for line in lines)
    assert "  equal within 0.05 of the normalised return: baseline = good" in lines
    assert any(line.startswith("Kept of the history for 95% of the whole one's: bad ") for line in lines)
    assert "good at most 20%" in "\n".join(lines)


def test_a_page_has_its_findings_before_a_table_that_is_not_wide() -> None:
    page = lives_page(study())
    assert len(HEAD) <= 8
    assert page.startswith("# bandit: what shortened histories cost\n\nWritten by `keepmap study --family bandit`.")
    places = [page.index(text) for text in ("- The whole history", "| good 80% | 0.93 | ", "12 tasks that no training")]
    assert places == sorted(places)
    assert len({line.count("|") for line in page.splitlines() if line.startswith("|")}) == 1
    assert max(map(len, lives_table(study()))) <= 120


def test_times_are_printed_and_are_not_on_the_page() -> None:
    times = {row.label: 0.001 * (1 + number) for number, row in enumerate(study().results)}
    measured = replace(study(), times=times)
    lines = lives_table(measured)
    assert lives_page(measured) == lives_page(study()) and max(map(len, lines)) <= 120
    assert lines[0].split()[-6:] == ["KiB", "ms", "on", "the", "front", "of"] and " 5.0 " in lines[-1]
