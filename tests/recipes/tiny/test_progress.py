"""How far a training is: the guess of the time left, and the lines."""

import pytest

from keepmap.recipes.tiny.progress import Clock, Progress, Reporter
from keepmap.recipes.tiny.recipe import Recipe, Shares, Stage


def stage(name: str, steps: int, batch: int, length: int) -> Stage:
    return Stage(name=name, steps=steps, batch=batch, length=length, shares=Shares(copies=1.0), rate=(1.0, 1.0))


def after(step: int, steps: int = 4, recall: float = 0.5) -> Progress:
    return Progress(
        stage="copy",
        step=step,
        steps=steps,
        recall_loss=float(step),
        recall=recall,
        prose_loss=2.0 * step,
        seconds_left=90.0,
    )


def test_the_time_left_is_what_the_tokens_left_take_at_the_pace_so_far() -> None:
    clock = Clock(Recipe(stages=(stage("short", 3, 2, 5), stage("long", 2, 1, 40))))
    # 10 tokens in 1 s: 20 of this stage are left, and 80 of the next.
    assert clock.left(0, 0, 1.0) == pytest.approx(10.0)
    # 20 tokens in 4 s.
    assert clock.left(0, 1, 3.0) == pytest.approx((10 + 80) * 4 / 20)
    assert clock.left(0, 2, 2.0) == pytest.approx(80 * 6 / 30)
    # 70 tokens in 14 s.
    assert clock.left(1, 0, 8.0) == pytest.approx(40 * 14 / 70)
    assert clock.left(1, 1, 1.0) == 0.0


def test_a_stage_ends_with_a_line_of_means(capsys: pytest.CaptureFixture[str]) -> None:
    report = Reporter()
    for step in (1, 2, 3):
        report(after(step, recall=0.25 * step))
        assert capsys.readouterr().out == ""
    report(after(4, recall=0.5))
    line = "copy 4/4: recalled 50.0%, recall loss 2.500, prose loss 5.000, 1.5 minutes left\n"
    assert capsys.readouterr().out == line
    report(after(4, recall=1.0))
    assert "recalled 100.0%, recall loss 4.000" in capsys.readouterr().out, "what was printed is not counted again"


def test_a_long_stage_has_a_line_every_so_many_steps(capsys: pytest.CaptureFixture[str]) -> None:
    report = Reporter()
    for step in range(1, 2 * Reporter.EVERY + 2):
        report(after(step, steps=1000))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["copy 50/1000", "copy 100/1000"]
    assert "recall loss 75.500" in lines[1]
