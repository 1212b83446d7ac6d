"""Evaluations: what they say about returns against slow sums, their file, and numbers that cannot be."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from keepmap.agents.evaluation.returns import Evaluation, curve, read_evaluation, write_evaluation
from keepmap.errors import ImpossibleResultError, InputError

GOALS = ((4, 2), (5, 6), (0, 0))
OPTIMUM = (19.0, 18.0, 13.0)


def evaluation(returns: object, goals: tuple[tuple[int, ...], ...] = GOALS, seed: int = 0) -> Evaluation:
    return Evaluation(goals, OPTIMUM[: len(goals)], np.array(returns, dtype=float), {"seed": seed}, {"keepmap": "0"})


def learning(episodes: int = 60, copies: int = 2) -> Evaluation:
    """Goal 0 is solved, goal 1 misses by a little, goal 2 is never found; copies differ."""
    returns = np.zeros((3, copies, episodes))
    returns[0, :, 3:] = 19
    returns[0, 0, 5] = 7
    returns[1, :, 10:] = 16
    returns[1, :, -1] = 18
    return evaluation(returns)


def test_means_are_over_copies_then_goals() -> None:
    played = learning()
    assert played.returns.shape == (3, 60)
    assert (played.copies, played.episodes) == (2, 60)
    assert played.returns[0, 5] == 13
    flat = [played.all_returns[g, c, e] for g in range(3) for c in range(2) for e in range(60)]
    assert played.mean == pytest.approx(sum(flat) / len(flat))
    assert played.standard_deviation == pytest.approx(np.std(flat))


def test_a_goal_is_solved_by_its_last_twenty_episodes() -> None:
    played = learning()
    assert played.last == pytest.approx((19, (19 * 16 + 18) / 20, 0))
    assert played.success == (True, False, False)
    assert played.success_rate == pytest.approx(1 / 3)
    returns = np.zeros((3, 1, 60))
    returns[1, 0, -20:] = [16] * 16 + [17, 17, 17, 17]  # 16.2, which is 90 % of 18
    returns[2, 0, :40] = 13
    assert evaluation(returns).success == (False, True, False)
    assert evaluation(returns[:, :, -5:]).last[1] == pytest.approx((16 + 4 * 17) / 5), "fewer than 20: all of them"


def test_early_means_episodes_21_to_40_counted_from_1() -> None:
    returns = np.zeros((3, 1, 41))
    returns[:, 0, 20:40] = 5
    returns[:, 0, [19, 40]] = 12
    early = evaluation(returns).early
    assert early is not None and (early.mean, early.low, early.high, early.n) == (5, 5, 5, 3)
    assert evaluation(returns[:, :, :39]).early is None
    assert evaluation(returns).estimate(20, 20).mean == 12
    assert str(early) == "5.00 [5.00, 5.00]"
    for first, last in ((0, 3), (4, 3), (1, 42)):
        with pytest.raises(InputError, match=f"expected `first` and `last` to be in 1\\.\\.41, got {first} to {last}"):
            evaluation(returns).estimate(first, last)


def test_one_goal_has_no_interval() -> None:
    played = evaluation(np.ones((1, 4, 3)), GOALS[:1])
    whole = played.estimate()
    assert (whole.mean, whole.low, whole.high, str(whole)) == (1, None, None, "1.00")
    assert played.document()["interval"] is None


def test_a_curve_is_the_mean_over_bins_goals_and_seeds() -> None:
    some = [evaluation(np.random.default_rng(seed).random((3, 2, 7))) for seed in range(2)]
    mean, low, high = curve(some, np.array([0, 1, 3, 7]))
    values = np.stack([played.all_returns for played in some])
    assert mean == pytest.approx([values[..., 0].mean(), values[..., 1:3].mean(), values[..., 3:].mean()])
    assert low is not None and high is not None and (low < mean).all() and (mean < high).all()
    with pytest.raises(InputError, match="on the same goals and episodes, got 3 goals of 7 episodes and 3 goals of 8"):
        curve([some[0], evaluation(np.zeros((3, 1, 8)))], np.array([0, 7]))
    with pytest.raises(InputError, match="3 goals of 7 episodes and 2 goals of 7"):
        curve([some[0], evaluation(np.zeros((2, 1, 7)), GOALS[:2])], np.array([0, 7]))


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_impossible_returns_are_errors(value: float) -> None:
    returns = np.zeros((3, 1, 4))
    returns[1, 0, 2] = value
    with pytest.raises(ImpossibleResultError, match=r"on the goal \(5, 6\)"):
        evaluation(returns)


@pytest.mark.parametrize("copies", [1, 2])
def test_the_file_holds_all_to_the_last_bit(tmp_path, copies: int) -> None:
    played = learning(copies=copies)
    played = replace(played, all_returns=played.all_returns / 3)
    path = tmp_path / "evaluation.json"
    write_evaluation(path, played)
    again = read_evaluation(path)
    assert again == played and read_evaluation(tmp_path) == played
    assert again.document() == played.document()
    assert (again.all_returns == played.all_returns).all()
    content = path.read_bytes()
    write_evaluation(path, again)
    assert path.read_bytes() == content
    document = json.loads(content)
    assert [*document] == [*played.document(), "checksum"]
    assert document["goals"] == [[4, 2], [5, 6], [0, 0]]
    assert np.shape(document["returns"]) == (3, 60) and document["copies"] == copies
    assert (document["all_returns"] is None) == (copies == 1)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]
    assert len(content.splitlines()) < 40, "a goal's returns stand on one line"


def test_a_file_of_an_earlier_rule_for_intervals_reads_with_those_of_today(tmp_path) -> None:
    document = learning().document()
    assert document["interval"] is not None
    for earlier in ({"interval_rule": 1}, {}):
        old = {key: value for key, value in document.items() if key != "interval_rule"} | earlier
        path = tmp_path / "evaluation.json"
        path.write_text(json.dumps(old | {"interval": [0.5, 0.6]}))
        assert read_evaluation(path).document() == document
        path.write_text(json.dumps(old | {"mean": 3.0}))
        with pytest.raises(InputError, match="its mean does not agree"):
            read_evaluation(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": 3.0}, "its mean does not agree with its returns"),
        ({"success": [True, True, True]}, "its success does not agree"),
        ({"copies": 3}, "its copies does not agree"),
        ({"interval": None}, "its interval does not agree"),
        ({"extra": 1}, "its extra does not agree"),
        ({"optimum": [1.0]}, "3 goals, 1 optima"),
        ({"returns": [[1.0], [2.0, 3.0], [1.0]], "all_returns": None}, "inhomogeneous"),
        ({"all_returns": [[[-1.0]], [[0.0]], [[0.0]]]}, "the returns on the goal"),
        ({"goals": 3}, "not iterable"),
        ({"returns": None, "all_returns": None}, "evaluation.json is not an evaluation, or is damaged: "),
        ({"goals": [[math.inf, 0], [0, 0], [1, 1]]}, "cannot convert float infinity"),
        ({"optimum": [math.nan, 1.0, 1.0]}, "its optimum does not agree"),
        ({"options": 3}, "its options are not a mapping"),
        ({"format": "keepmap-sample/1"}, "its format is not keepmap-evaluation/1"),
    ],
)
def test_a_file_that_is_no_evaluation_is_one_line(tmp_path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(learning().document() | change))
    with pytest.raises(InputError, match=message) as caught:
        read_evaluation(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": "keepmap-evaluation/1"}', "[" * 100_000])
def test_other_files_are_refused(tmp_path, content: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(InputError, match="is not an evaluation, or is damaged"):
        read_evaluation(path)
    with pytest.raises(InputError, match="no such file; keepmap evaluate writes one"):
        read_evaluation(tmp_path / "none.json")
    path.unlink()
    with pytest.raises(InputError, match=r"no evaluation at .*evaluation.json: no such file"):
        read_evaluation(tmp_path)


def test_what_differs_is_not_equal() -> None:
    played = learning()
    assert played == learning()
    returns = played.all_returns.copy()
    returns[2, 1, 3] += 1
    for other in (
        replace(played, all_returns=returns),
        replace(played, optimum=(19.0, 18.0, 12.0)),
        replace(played, goals=((4, 2), (5, 6), (0, 1))),
        replace(played, options={"seed": 1}),
        replace(played, versions={}),
        learning(copies=1),
    ):
        assert played != other
    assert played != "an evaluation"


def test_the_table_has_a_row_for_each_goal(tmp_path) -> None:
    played = learning()
    assert [row["goal"] for row in played.rows] == ["4,2", "5,6", "0,0"]
    assert [row["mean_return"] for row in played.rows] == played.returns.mean(1).tolist()
    assert [row["share"] for row in played.rows] == (played.returns.mean(1) / OPTIMUM).tolist()
    assert [row["last_20"] for row in played.rows] == list(played.last)
    assert [row["solved"] for row in played.rows] == [True, False, False]
    assert json.loads(json.dumps(played.rows)) == played.rows, "plain values"
    assert replace(played, optimum=(0.0, 18.0, 13.0)).rows[0]["share"] is None
    assert played.to_csv(tmp_path / "goals.csv").splitlines()[0] == "goal,mean_return,optimum,share,last_20,solved"
    assert (tmp_path / "goals.csv").read_text() == played.to_csv()
    assert "<td>4,2</td>" in played._repr_html_() and "3 goals x 2 copies, 60 episodes" in played._repr_html_()


def test_the_answer_stands_first() -> None:
    played = learning()
    first, second = repr(played).splitlines()
    assert first == f"Evaluation: mean return {played.estimate()} of 16.67 at best, 3 goals x 2 copies, 60 episodes"
    assert second == f"  episodes 21 to 40: {played.early}; solved at the end: 1"
    short = evaluation(np.ones((1, 1, 1)), GOALS[:1])
    assert repr(short) == "Evaluation: mean return 1.00 of 19.00 at best, 1 goal, 1 episode"
