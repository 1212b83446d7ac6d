"""A training's log: what a killed run wrote and did not keep goes, and so does what is damaged."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from keepmap.agents.training.log import Log, read_log


class Entries:
    """A board that keeps what it is shown."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self.entries.append((step, dict(figures)))

    def close(self) -> None:
        self.closed = True


def test_a_run_that_goes_on_drops_what_it_will_do_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    log = Log(path, 0)
    for step in (1, 2, 3):
        log.write(step, {"loss": step / 2})
    assert [entry["step"] for entry in read_log(path)] == [1, 2, 3]
    Log(path, 2).write(3, {"loss": 9.0})
    assert read_log(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": 9.0}]


def test_a_board_is_shown_every_figure(tmp_path: Path) -> None:
    board = Entries()
    log = Log(tmp_path / "log.jsonl", 0, board)
    log.write(4, {"loss": 1.5, "lr": 0.1})
    log.close()
    assert board.entries == [(4, {"loss": 1.5, "lr": 0.1})] and board.closed


@pytest.mark.parametrize("damage", [b"5\n", b"{}\n", b"\xff\xfe\n", b'{"step": 4, "lo'])
def test_a_damaged_log_is_cut_where_the_damage_begins(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 3}\n' + damage)
    assert read_log(path) == [{"step": 3}]
