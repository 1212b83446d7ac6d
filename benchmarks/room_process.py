"""One environment in a process of its own, stepped over pipes: what a vector of subprocesses does.

Run with a goal, it is the room (9x9, 20 steps): for each byte in, an action, four bytes out: x, y, reward, whether the
episode ended (the cell is then the first one of the next). `RoomProcesses` is the other end, for any number of them.
Imports nothing that has to be installed, so that starting many costs little.
"""

import subprocess
import sys
from collections.abc import Sequence
from typing import Self

__all__ = ["RoomProcesses"]

SIZE, HORIZON = 9, 20
MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0, 0))


class RoomProcesses:
    """Rooms with a goal each, one process for each."""

    def __init__(self, goals: Sequence[tuple[int, ...]]) -> None:
        self._rooms = [
            subprocess.Popen(
                [sys.executable, "-I", __file__, *map(str, goal)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
            for goal in goals
        ]

    def __len__(self) -> int:
        return len(self._rooms)

    def step(self, actions: Sequence[int]) -> list[tuple[int, int, int, bool]]:
        """All rooms at once: (x, y, reward, whether the episode ended) of each."""
        for room, action in zip(self._rooms, actions, strict=True):
            assert room.stdin is not None
            room.stdin.write(bytes([action]))
        return [self._answer(room) for room in self._rooms]

    @staticmethod
    def _answer(room: "subprocess.Popen[bytes]") -> tuple[int, int, int, bool]:
        assert room.stdout is not None
        x, y, reward, ended = room.stdout.read(4)
        return x, y, reward, bool(ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for room in self._rooms:
            assert room.stdin is not None and room.stdout is not None
            room.stdin.close()
            room.stdout.close()
            room.wait()


def main() -> None:
    """Be a room until the other end is closed."""
    goal = tuple(map(int, sys.argv[1:]))
    cell, steps = (SIZE // 2, SIZE // 2), 0
    while action := sys.stdin.buffer.read(1):
        dx, dy = MOVES[action[0]]
        cell = (min(max(cell[0] + dx, 0), SIZE - 1), min(max(cell[1] + dy, 0), SIZE - 1))
        reward, steps = int(cell == goal), steps + 1
        ended = steps == HORIZON
        if ended:
            cell, steps = (SIZE // 2, SIZE // 2), 0
        sys.stdout.buffer.write(bytes([*cell, reward, ended]))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
