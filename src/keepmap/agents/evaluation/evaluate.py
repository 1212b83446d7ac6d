"""Let agents learn goals in their context, and record every episode's return."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.agents.acting.agent import Agent
from keepmap.agents.compressor import Compressor
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.evaluation.returns import Evaluation
from keepmap.core.progress import Progress, part_of
from keepmap.core.versions import versions
from keepmap.errors import ImpossibleResultError, InputError

__all__ = ["PACKAGES", "check_evaluation", "check_folds", "evaluate", "evaluate_folds", "joined"]

PACKAGES = ("torch", "numpy", "gymnasium")
"""What takes part in a return, beside keepmap and Python."""


def evaluate(
    agent: Agent,
    goals: Sequence[Goal],
    *,
    episodes: int = 500,
    copies: int = 1,
    seed: int = 0,
    compressor: Compressor | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Let the agent learn each goal from an empty history on; its actions are sampled and its weights stay.

    Args:
        goals: of the room that the agent was trained in; its held-out ones are `agent.held_out`.
        episodes: of each goal, one after the other in one context.
        copies: how often each goal is learned, independently.
        seed: of the actions and the starting cells.
        compressor: what shortens the history before each action; None for the whole window.
        progress: called after every step with the share of the episodes that are over.

    Raises:
        InputError: no goals, a goal twice or not of the room, or less than one episode or copy.
        ImpossibleResultError: a return that is no number, negative, or more than the room can give.
    """
    check_evaluation(agent.room, goals, episodes, copies, seed)
    envs = RoomVectorEnv(agent.room, len(goals) * copies, [goal for goal in goals for _ in range(copies)])
    returns = agent.play(envs, episodes, seed=seed, compressor=compressor, progress=progress)
    returns = returns.reshape(len(goals), copies, episodes)
    _check_possible(agent.room, goals, returns)
    options = {
        "protocol": _protocol(agent, goals),
        "room": {"name": agent.room.name, "size": agent.room.size, "horizon": agent.room.horizon},
        "checkpoints": [_description(agent)],
        "trained_on": [list(goal) for goal in goals if goal in set(agent.train)],
        "episodes": episodes,
        "copies": copies,
        "seed": seed,
        "compressor": None if compressor is None else {"name": compressor.name, **asdict(compressor)},
    }
    return Evaluation(tuple(goals), tuple(map(agent.room.optimum, goals)), returns, options, versions(*PACKAGES))


def evaluate_folds(
    agents: Sequence[Agent],
    *,
    episodes: int = 500,
    copies: int = 1,
    seed: int = 0,
    compressors: Sequence[Compressor | None] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """The k-fold protocol: each agent on its own held-out goals, so that every goal of the room is learned once.

    Args:
        compressors: of each agent; None for whole windows.

    Raises:
        InputError: as `evaluate`, or folds that share goals or leave some out.
    """
    check_folds(agents)
    given = [None] * len(agents) if compressors is None else compressors
    return joined(
        [
            evaluate(
                agent,
                agent.held_out,
                episodes=episodes,
                copies=copies,
                seed=seed,
                compressor=compressor,
                progress=part_of(progress, fold, len(agents)),
            )
            for fold, (agent, compressor) in enumerate(zip(agents, given, strict=True))
        ],
        agents[0].room,
    )


def check_evaluation(room: Room, goals: Sequence[Goal], episodes: int, copies: int, seed: int) -> None:
    """Whether there is something to evaluate.

    Raises:
        InputError: no goals, a goal twice or not of the room, no episode or copy, or a negative seed.
    """
    for name, value in (("episodes", episodes), ("copies", copies)):
        if value < 1:
            raise InputError(f"{value} {name} were asked for; there must be 1 or more")
    if seed < 0:
        raise InputError(f"a seed of {seed} was asked for; it must be 0 or more")
    if not goals:
        raise InputError("an evaluation on no goal was asked for; name one or more")
    for goal in goals:
        room.index(goal)
    if len(set(goals)) < len(goals):
        twice = next(goal for goal in goals if list(goals).count(goal) > 1)
        raise InputError(f"the goal {twice} was named twice; use copies to learn each goal several times")


def check_folds(agents: Sequence[Agent]) -> None:
    """Whether the agents' held-out goals are all goals of one room, each once.

    Raises:
        InputError: they are not; names a goal that is missing or there twice, and who holds it out.
    """
    if not agents:
        raise InputError("the folds of no checkpoint were asked for; name one for each fold")
    room = agents[0].room
    holder: dict[Goal, str] = {}
    for agent in agents:
        if agent.room != room:
            raise InputError(
                f"{agents[0].name} was trained in {_room(room)} and {agent.name} in {_room(agent.room)}; "
                "folds are of one room"
            )
        for goal in agent.held_out:
            if goal in holder:
                raise InputError(
                    f"the goal {goal} is held out by {holder[goal]} and by {agent.name}; folds must not share goals"
                )
            holder[goal] = agent.name
    missing = [goal for goal in room.goals if goal not in holder]
    if missing:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise InputError(
            f"no checkpoint of {len(agents)} holds out the goal {missing[0]}{more}; "
            f"the folds must hold out each of the {len(room.goals)} goals once"
        )


def joined(folds: Sequence[Evaluation], room: Room) -> Evaluation:
    """The evaluations of all folds as one, its goals in the room's order."""
    parts = sorted(
        (
            (goal, optimum, returns)
            for fold in folds
            for goal, optimum, returns in zip(fold.goals, fold.optimum, fold.all_returns, strict=True)
        ),
        key=lambda part: room.index(part[0]),
    )
    options = {
        **folds[0].options,
        "protocol": "k_fold",
        "checkpoints": [one for fold in folds for one in fold.options["checkpoints"]],
        "trained_on": [goal for fold in folds for goal in fold.options["trained_on"]],
        "compressor": [fold.options["compressor"] for fold in folds],
    }
    same = all(one == options["compressor"][0] for one in options["compressor"])
    options["compressor"] = options["compressor"][0] if same else options["compressor"]
    goals, optimum, returns = zip(*parts, strict=True)
    return Evaluation(goals, optimum, np.stack(returns), options, folds[0].versions)


def _check_possible(room: Room, goals: Sequence[Goal], returns: Float[np.ndarray, "G C E"]) -> None:
    for goal, found in zip(goals, returns, strict=True):
        most = _most(room, goal)
        if not ((found >= 0) & (found <= most)).all():
            raise ImpossibleResultError(
                f"an episode with the goal {goal} returned {found.min():g} to {found.max():g}; "
                f"it can give 0 to {most:g}"
            )


def _most(room: Room, goal: Goal) -> float:
    """What an episode can return at most, on the best starting cell; the optimum is a mean over these."""
    if len(room.all_starts()) == 1:
        return room.optimum(goal)
    return float(room.horizon if room.every_step else room.n_targets)


def _protocol(agent: Agent, goals: Sequence[Goal]) -> str:
    sides = {"held_out": agent.held_out, "train": agent.train, "all": agent.room.goals}
    return next((name for name, side in sides.items() if set(side) == set(goals)), "goals")


def _description(agent: Agent) -> Mapping[str, Any]:
    config = agent.config
    trained = None if agent.compressor is None else {"name": agent.compressor.name, **asdict(agent.compressor)}
    return {
        "name": agent.name,
        "step": agent.step,
        "split": config.split,
        "split_seed": config.env_split_seed,
        "train_seed": config.train_seed,
        "n_transit": config.n_transit,
        "compressor": trained,
    }


def _room(room: Room) -> str:
    return f"{room.name} {room.size}x{room.size} of {room.horizon} steps"
