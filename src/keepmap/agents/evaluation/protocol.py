"""Who learns which goals in an evaluation: one agent, or the folds of a room; everything is checked before a step."""

import re
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.acting.rollout import MOST_EPISODES
from keepmap.agents.compressor import AS_TRAINED, Compressor, acting_compressor
from keepmap.agents.environments.goals import Goal, parse_cell
from keepmap.agents.environments.world import World
from keepmap.core.arguments import as_integer
from keepmap.errors import InputError, counted, kind_of

__all__ = ["Agents", "Goals", "Protocol", "protocol_of", "resolve_agents"]

Agents = Agent | str | Path | Sequence[Agent | str | Path]
"""An agent, "tiny" or a folder; several are the folds of a room."""
Goals = str | Iterable[Any]
""""held_out", "train", "all", or cells: (4, 2), [(4, 2), (5, 6)], "4,2 5,6" or ["4,2", "5,6"]."""
MOST_COPIES = 1_000_000
EPISODES = 500
"""The guide's, of a dark room; an agent in a family has one life."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is played: each agent learns its goals, `copies` of each, for `episodes` episodes from an empty history on.

    Attributes:
        agents: one, or the folds of a room, each on its own held-out goals.
        goals: of each agent.
        compressors: of each agent, None for its whole window.
        seed: of the actions and the starting cells.
    """

    agents: tuple[Agent, ...]
    goals: tuple[tuple[Goal, ...], ...]
    compressors: tuple[Compressor | None, ...]
    episodes: int
    copies: int
    seed: int

    @property
    def room(self) -> World:
        """The room that all agents were trained in."""
        return self.agents[0].room

    @property
    def steps(self) -> int:
        """How many steps all copies take together."""
        return sum(map(len, self.goals)) * self.copies * self.episodes * self.room.horizon


def protocol_of(
    agent: Agents,
    goals: Goals = "held_out",
    *,
    episodes: int | None,
    copies: int,
    seed: int,
    compressor: object = AS_TRAINED,
) -> Protocol:
    """The protocol that the arguments of `evaluate` ask for, and whether it can be played.

    Raises:
        InputError: as `evaluate`. ModelError: there is no such agent, or it is damaged.
    """
    agents = resolve_agents(agent)
    named_or_cells = _joined_words(goals)
    if len(agents) == 1:
        sides: tuple[tuple[Goal, ...], ...] = (_goals(agents[0], named_or_cells),)
    elif named_or_cells == "held_out":
        sides = tuple(agent.held_out for agent in agents)
    else:
        raise InputError(
            f"expected `goals` to be held_out, of each of {len(agents)} agents, got {named_or_cells}; leave `goals` out"
        )
    compressors = tuple(acting_compressor(compressor, agent.compressor) for agent in agents)
    life = agents[0].room.life
    episodes = as_integer("episodes", (life or EPISODES) if episodes is None else episodes, 1, life or MOST_EPISODES)
    copies = as_integer("copies", copies, 1, MOST_COPIES)
    seed = as_integer("seed", seed)
    if len(agents) == 1:
        _check_goals(agents[0].room, sides[0])
    return Protocol(
        agents=agents,
        goals=sides,
        compressors=compressors,
        episodes=episodes,
        copies=copies,
        seed=seed,
    )


def resolve_agents(agent: Agents) -> tuple[Agent, ...]:
    """The agents, loaded where they are not yet; several are checked to be folds.

    Raises:
        InputError: something else than an agent, no agent, or folds of several rooms, that share goals, or that leave
            some out. ModelError: there is no such agent, or it is damaged.
    """
    values = [agent] if isinstance(agent, Agent | str | Path) or not isinstance(agent, Sequence) else list(agent)
    if not values:
        raise InputError("expected `agent` to be an agent, or one for each fold, got none")
    for value in values:
        if not isinstance(value, Agent | str | Path):
            raise InputError(f"expected `agent` to be an agent, its folder or its name, got {kind_of(value)}")
    agents = tuple(value if isinstance(value, Agent) else load_agent(value) for value in values)
    if len(agents) > 1:
        _check_folds(agents)
    return agents


def _check_folds(agents: Sequence[Agent]) -> None:
    room = agents[0].room
    holder: dict[Goal, str] = {}
    for agent in agents:
        if agent.room != room:
            raise InputError(
                f"{agents[0].name} was trained in {_described(room)} and {agent.name} in {_described(agent.room)}; "
                "folds are of one room"
            )
        for goal in agent.held_out:
            if goal in holder:
                raise InputError(
                    f"the goal {goal} is held out by {holder[goal]} and by {agent.name}; folds must not share goals"
                )
            holder[goal] = agent.name
    goals = agents[0].config.goals()
    missing = [goal for goal in goals if goal not in holder]
    if missing:
        more = f" and {counted(len(missing) - 1, 'other')}" if len(missing) > 1 else ""
        raise InputError(
            f"no agent of {len(agents)} holds out the goal {missing[0]}{more}; "
            f"the folds must hold out each of the {len(goals)} goals once"
        )


def _joined_words(goals: Goals) -> str | list[Any]:
    """Words as one text, "held_out" or "4,2 5,6"; cells that are no text as a list."""
    if isinstance(goals, str):
        return " ".join(goals.split())
    if hasattr(goals, "tolist"):
        goals = goals.tolist()
    if not isinstance(goals, Iterable):
        raise _not_goals(goals)
    cells = list(goals)
    return " ".join(map(str, cells)) if all(isinstance(cell, str) for cell in cells) else cells


def _goals(agent: Agent, goals: str | list[Any]) -> tuple[Goal, ...]:
    if isinstance(goals, str):
        return _named_goals(agent, goals)
    cells = [goals] if all(isinstance(cell, int | np.integer) for cell in goals) else goals
    for cell in cells:
        if not isinstance(cell, Iterable) or not all(isinstance(part, int | np.integer) for part in cell):
            raise _not_goals(cells)
    return tuple(tuple(int(part) for part in cell) for cell in cells)


def _not_goals(goals: object) -> InputError:
    return InputError(
        f'expected `goals` to be "held_out", "train", "all" or cells such as [(4, 2), (5, 6)], got '
        f"{reprlib.repr(goals)}"
    )


def _named_goals(agent: Agent, text: str) -> tuple[Goal, ...]:
    words = re.sub(r",\s+", ",", text).split()
    sides = {"held_out": agent.held_out, "train": agent.train, "all": _all(agent)}
    if len(words) == 1 and words[0] in sides:
        goals = tuple(sides[words[0]])
        if not goals:
            raise InputError(f"{agent.name} has no {words[0]} goals; name some with `goals`, or use goals=all")
        return goals
    cells: list[Goal] = []
    for word in words:
        try:
            cells.append(parse_cell(word))
        except InputError:
            raise InputError(
                f'expected `goals` to be held_out, train, all or cells as "4,2 5,6", got "{word}"'
            ) from None
    return tuple(cells)


def _all(agent: Agent) -> tuple[Goal, ...]:
    """Every goal of the split, in the order of their numbers."""
    return tuple(sorted((*agent.train, *agent.held_out), key=agent.room.index))


def _check_goals(room: World, goals: Sequence[Goal]) -> None:
    if not goals:
        raise InputError("expected `goals` to be one or more, got none")
    for goal in goals:
        room.index(goal, "goals")
    if len(set(goals)) < len(goals):
        twice = next(goal for goal in goals if list(goals).count(goal) > 1)
        raise InputError(f"the goal {twice} was named twice; use `copies` to learn each goal several times")


def _described(room: World) -> str:
    return f"{room.title} of {room.horizon} steps"
