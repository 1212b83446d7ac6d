"""How long an action takes."""

import time

from keepmap.agents.acting.agent import Agent
from keepmap.agents.compressor import Compressor
from keepmap.agents.environments.vector import RoomVectorEnv

__all__ = ["action_seconds"]

SLIDES = 4


def action_seconds(agent: Agent, compressor: Compressor | None, envs: int) -> float:
    """Seconds for one step of so many environments at once, once the window is full: the mean over four slides of it.

    The environments' own share of it, some microseconds each, is included.
    """
    config, room = agent.config, agent.room
    first, last = config.n_transit + 1, config.n_transit + 1 + SLIDES * config.slide()
    ends: list[float] = []
    goals = [room.goals[index % len(room.goals)] for index in range(envs)]
    agent.play(
        RoomVectorEnv(room, envs, goals),
        -(-(last + 1) // room.horizon),
        compressor=compressor,
        progress=lambda share: ends.append(time.perf_counter()),
    )
    return (ends[last] - ends[first]) / (last - first)
