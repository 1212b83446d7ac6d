"""Let agents learn goals in their context, and record every episode's return."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.agents.acting.agent import Agent
from keepmap.agents.compressor import AS_TRAINED, Compressor
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.agents.evaluation.protocol import Agents, Goals, Protocol, protocol_of
from keepmap.agents.evaluation.returns import Evaluation
from keepmap.agents.families import copies_of, expected_returns
from keepmap.core.arguments import as_function
from keepmap.core.progress import Progress, part_of
from keepmap.core.versions import versions
from keepmap.errors import ImpossibleResultError

__all__ = ["PACKAGES", "Played", "Returns", "evaluate", "play_protocol"]

Returns = Float[np.ndarray, "G C E"]
"""Of an agent's goals, copies and episodes."""
Played = Callable[[int, Callable[[], Returns]], Returns]
"""Told which of the agents plays now, by its number, and what plays: gives what comes of it, now or earlier."""

PACKAGES = ("torch", "numpy", "gymnasium")
"""What takes part in a return, beside keepmap and Python."""


def evaluate(
    agent: Agents,
    goals: Goals = "held_out",
    *,
    episodes: int | None = None,
    copies: int = 1,
    seed: int = 0,
    compressor: Compressor | str | None = AS_TRAINED,
    progress: Progress | None = None,
) -> Evaluation:
    """Let an agent learn goals in its context, each from an empty history on; nothing is printed or written.

    Its actions are sampled, and its weights stay as they are. The same arguments give the same returns.

    >>> evaluation = evaluate("tiny", [(7, 2), (5, 6)], episodes=30)
    >>> evaluation.returns.shape, evaluation.optimum
    ((2, 30), (16.0, 18.0))

    Args:
        agent: an agent, "tiny" or a folder. Several are the folds of a room (the k-fold protocol): each learns its own
            held-out goals, so that every goal of the room is learned once, by an agent that never saw it.
        goals: "held_out" (no training saw them), "train", "all", or cells: [(4, 2), (5, 6)] or "4,2 5,6".
        episodes: of each goal, one after the other in one context; by default 500, and those of a life in a family.
        copies: how often each goal is learned, independently.
        seed: of the actions and the starting cells.
        compressor: what shortens the history before each action: one, or a name. By default "as_trained", what the
            agent was trained with; None or "none" for the whole window.
        progress: called after every step with the share of the episodes that are over.

    Raises:
        InputError: no goals, a goal twice or not of the room, less than one episode or copy, no such compressor, or
            folds that share goals or leave some out.
        ModelError: there is no such agent, or it is damaged.
        ImpossibleResultError: a return that is not finite, negative, or more than the room can give.
    """
    protocol = protocol_of(agent, goals, episodes=episodes, copies=copies, seed=seed, compressor=compressor)
    return play_protocol(protocol, as_function("progress", progress))


def play_protocol(protocol: Protocol, progress: Progress | None = None, played: Played | None = None) -> Evaluation:
    """Let the agents of a protocol learn their goals.

    Args:
        played: may know what an agent returned; by default every agent plays.

    Raises:
        ImpossibleResultError: as `evaluate`.
    """
    folds = len(protocol.agents)
    evaluations = []
    for index in range(folds):
        share = part_of(progress, index, folds) if folds > 1 else progress

        def play(index: int = index, share: Progress | None = share) -> Returns:
            return _returns(protocol, index, share)

        evaluations.append(_evaluated(protocol, index, play() if played is None else played(index, play)))
    return _joined(evaluations, protocol.room) if folds > 1 else evaluations[0]


def _returns(protocol: Protocol, index: int, progress: Progress | None) -> Returns:
    agent, goals, compressor = protocol.agents[index], protocol.goals[index], protocol.compressors[index]
    copies, episodes = protocol.copies, protocol.episodes
    envs = copies_of(agent.room, [goal for goal in goals for _ in range(copies)])
    returns = agent.play(envs, episodes, seed=protocol.seed, compressor=compressor, progress=progress)
    return returns.reshape(len(goals), copies, episodes)


def _evaluated(protocol: Protocol, index: int, returns: Returns) -> Evaluation:
    agent, goals, compressor = protocol.agents[index], protocol.goals[index], protocol.compressors[index]
    room = agent.room
    _check_possible(room, goals, returns)
    options = {
        "protocol": _name(agent, goals),
        "room": {"name": room.name, **room.options},
        "checkpoints": [_description(agent)],
        "trained_on": [list(goal) for goal in goals if goal in set(agent.train)],
        "episodes": protocol.episodes,
        "copies": protocol.copies,
        "seed": protocol.seed,
        "compressor": _compressor(compressor),
    }
    best, random = expected_returns(room, goals, protocol.episodes)
    # Of a family, the mean over the episodes that were played.
    optimum = tuple(map(room.optimum, goals)) if room.life is None else tuple(best.mean(1).tolist())
    return Evaluation(goals, optimum, returns, options, versions(*PACKAGES), best=best, random=random)


def _joined(folds: Sequence[Evaluation], room: World) -> Evaluation:
    """The evaluations of all folds as one, its goals in the room's order."""
    parts = sorted(
        (
            (goal, *rest)
            for fold in folds
            for goal, *rest in zip(fold.goals, fold.optimum, fold.all_returns, fold.best, fold.random, strict=True)  # type: ignore[arg-type]
        ),
        key=lambda part: room.index(part[0]),
    )
    options = {
        **folds[0].options,
        "protocol": "k_fold",
        "checkpoints": [agent for fold in folds for agent in fold.options["checkpoints"]],
        "trained_on": [goal for fold in folds for goal in fold.options["trained_on"]],
        "compressor": [fold.options["compressor"] for fold in folds],
    }
    first, *others = options["compressor"]
    if all(other == first for other in others):
        options["compressor"] = first
    goals, optimum, *arrays = zip(*parts, strict=True)
    returns, best, random = map(np.stack, arrays)
    return Evaluation(goals, optimum, returns, options, folds[0].versions, best=best, random=random)


def _check_possible(room: World, goals: Sequence[Goal], returns: Returns) -> None:
    for goal, values in zip(goals, returns, strict=True):
        most = room.most_return(goal)
        if not ((values >= 0) & (values <= most)).all():
            raise ImpossibleResultError(
                f"an episode with the goal {goal} returned {values.min():g} to {values.max():g}; "
                f"it can give 0 to {most:g}"
            )


def _name(agent: Agent, goals: Sequence[Goal]) -> str:
    sides = {"held_out": agent.held_out, "train": agent.train, "all": (*agent.train, *agent.held_out)}
    return next((name for name, side in sides.items() if set(side) == set(goals)), "goals")


def _description(agent: Agent) -> Mapping[str, Any]:
    config = agent.config
    return {
        "name": agent.name,
        "step": agent.step,
        "split": config.split,
        "split_seed": config.env_split_seed,
        "train_seed": config.train_seed,
        "n_transit": config.n_transit,
        "compressor": _compressor(agent.compressor),
    }


def _compressor(compressor: Compressor | None) -> dict[str, Any] | None:
    return None if compressor is None else {"name": compressor.name, **asdict(compressor)}
