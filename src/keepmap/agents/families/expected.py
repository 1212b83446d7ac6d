"""What to expect of each episode: of an agent that knows the goal, and of one that acts at random."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import N_ACTIONS, Room
from keepmap.agents.environments.world import World
from keepmap.agents.families.family import Family
from keepmap.agents.families.grid import cells_of
from keepmap.agents.families.planning import planned_returns

__all__ = ["expected_returns"]

Expected = Float[np.ndarray, "G L"]


def expected_returns(world: World, goals: Sequence[Goal], episodes: int) -> tuple[Expected, Expected]:
    """The best and the random return of each episode with each goal; of a room, whose episodes are alike, L is 1.

    >>> from keepmap.agents.families.either import world_named
    >>> best, random = expected_returns(world_named("darkroom"), [(4, 4), (0, 0)], 40)
    >>> best.tolist(), random.round(2).tolist()
    ([[20.0], [13.0]], [[1.18], [0.04]])

    Args:
        episodes: L of a family, from the first of a life on.
    """
    if isinstance(world, Family):
        tasks = [world.index(goal) for goal in goals]
        return world.optimal_return(tasks)[:, :episodes], world.random_return(tasks)[:, :episodes]
    assert isinstance(world, Room), f"{world} is neither a room nor a family"
    best, random = zip(*(_of_room(world, goal) for goal in goals), strict=True)
    return np.array(best)[:, None], np.array(random)[:, None]


def _of_room(room: Room, goal: Goal) -> tuple[float, float]:
    """By dynamic programming over cells and the rewards so far."""
    cells, n = np.tile(cells_of(room.size), (room.memory, 1)), room.n_cells
    progress = np.repeat(np.arange(room.memory), n)
    goals = np.tile(np.array(goal), (len(cells), 1))
    led, paid = [], []
    for action in range(N_ACTIONS):
        after, rewarded = room.step(goals, cells, progress, np.full(len(cells), action))
        led.append(room.advance(progress, rewarded) * n + after @ np.array([room.size, 1]))
        paid.append(rewarded)
    ways, rewards = np.stack(led, axis=1)[None, :, :, None], np.stack(paid, axis=1)[None, :, :, None].astype(float)
    starts = np.zeros((1, len(cells)))
    for x, y in room.all_starts():
        starts[0, x * room.size + y] += 1 / len(room.all_starts())
    best, random = planned_returns(ways, np.ones_like(rewards), rewards, starts, room.horizon)
    return float(best[0]), float(random[0])
