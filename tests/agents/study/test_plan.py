"""Which runs a study has: compressors, budgets and seeds, and what is refused."""

from collections import Counter

import pytest

from keepmap.agents.compressor import compressors
from keepmap.agents.study.plan import BUDGETS, plan_study
from keepmap.errors import InputError


def test_the_default_plan_is_that_of_the_issue() -> None:
    plan = plan_study("usual", BUDGETS, None, 120, 1)
    usual = {name for name, known in compressors().items() if known.is_usual}
    trained = [planned for planned in plan if planned.trained and planned.compressor != "baseline"]
    assert len({*plan}) == len(plan) and {planned.compressor for planned in trained} == usual
    assert {(planned.percent, planned.length) for planned in trained} == {(50, 60), (80, 24), (95, 6)}
    assert Counter((planned.percent, planned.seed) for planned in trained) == {
        (50, 0): 8,
        (80, 0): 8,
        (80, 1): 8,
        (95, 0): 8,
    }
    alone = [planned for planned in plan if not planned.trained]
    assert Counter((planned.percent, planned.seed) for planned in alone) == {
        (0, 0): 1,
        (50, 0): 8,
        (80, 0): 8,
        (95, 0): 8,
    }
    assert {planned.compressor for planned in plan_study("all", [50.0], None, 120, 1)} == {"baseline", *compressors()}
    base = [str(planned) for planned in plan if planned.compressor == "baseline"]
    assert base == ["baseline-seed0", "baseline-seed1", "baseline-rollout-seed0"]
    assert str(trained[0]) == "adaptive-50-seed0"


def test_a_plan_can_be_narrower_or_wider() -> None:
    plan = plan_study(["recency,uniform", "recency"], [97.5], 3, 12, 3)
    assert {str(planned) for planned in plan if planned.compressor == "recency"} == {
        *("recency-97.5-seed0", "recency-97.5-seed1", "recency-97.5-seed2"),
        *("recency-97.5-rollout-seed0", "recency-97.5-rollout-seed1", "recency-97.5-rollout-seed2"),
    }
    assert {planned.length for planned in plan} == {1, 12}
    assert [
        planned.length for planned in plan_study("random", [0.0, 100.0], 1, 12, 1) if planned.compressor == "random"
    ][:2] == [
        12,
        1,
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recensy", (50.0,), None, 12, 1), 'unknown compressor "recensy" as `compressors`, did you mean "recency"?'),
        (("all", (120.0,), None, 12, 1), "expected `budgets` to be per cent in 0 to 100, got 120"),
        (("all", (-1.0,), None, 12, 1), "expected `budgets` to be per cent in 0 to 100, got -1"),
        (("all", (float("nan"),), None, 12, 1), "expected `budgets` to be per cent in 0 to 100, got nan"),
        (("all", (50.0, 50.0), None, 12, 1), "`budgets`: 50 is given twice; give it once"),
        (
            ("all", (100.0, 99.9999999), None, 12, 1),
            "`budgets`: 100.0 and 99.9999999 would share the folder 100; give one of them",
        ),
        (
            ("all", (), None, 12, 1),
            f"expected `compressors` and `budgets` to be one or more each, got {len(compressors())} and 0; name `comp",
        ),
        (("", (50.0,), None, 12, 1), "expected `compressors` and `budgets` to be one or more each, got 0 and 1"),
        (("all", (50.0,), 0, 12, 1), "expected `seeds` to be 1 or more, got 0"),
        (
            ("all", (50.0,), None, 12, 2),
            "one for each training seed (1), got 2; change `checkpoint` or `seeds`",
        ),
        (("all", (80.0,), None, 12, 3), "expected `checkpoint` to be one, or one for each training seed (2), got 3"),
    ],
)
def test_plans_that_cannot_be(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError) as raised:
        plan_study(*arguments)  # type: ignore[arg-type]
    assert message in str(raised.value)
