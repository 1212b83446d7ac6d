"""Trained with one compressor, run with another: the return of every pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.compressor import WHOLE_WINDOW, Compressor, acting_compressor
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.core.arguments import as_function
from keepmap.core.progress import Progress, part_of
from keepmap.core.result_table import ResultTable
from keepmap.errors import InputError, counted, kind_of

__all__ = ["Transfer", "transfer"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Transfer(ResultTable):
    """What A agents earn under C compressors, in the goals that all of them hold out; `draw.transfer_matrix` shows it.

    Attributes:
        trained: what shortened the histories of each agent in training: "recency, at most 10", or "none".
        acting: the same of each compressor in rollout.
        mean: [A, C], the normalised return at the end of a life: 0 is a random agent, 1 the best.
        low, high: [A, C], its 95 % interval over goals; NaN of fewer than three.
        goals: how many. episodes: the first and the last that count, counted from 1.
    """

    trained: tuple[str, ...]
    acting: tuple[str, ...]
    mean: Float[np.ndarray, "A C"]
    low: Float[np.ndarray, "A C"]
    high: Float[np.ndarray, "A C"]
    goals: int
    episodes: tuple[int, int]

    def __repr__(self) -> str:
        width = max(map(len, (*self.trained, *self.acting)))
        lines = [f"Transfer: {self.caption}", " ".join(word.rjust(width) for word in ("", *self.acting))]
        for name, values in zip(self.trained, self.mean, strict=True):
            lines.append(" ".join(word.rjust(width) for word in (name, *(f"{value:.2f}" for value in values))))
        return "\n".join(lines)

    @property
    def caption(self) -> str:
        first, last = self.episodes
        return (
            f"normalised return of episodes {first} to {last}, {counted(self.goals, 'goal')}; "
            "rows: trained with, columns: run with"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per pair; the interval is None of fewer than three goals."""
        return [
            {
                "trained_with": trained,
                "run_with": acting,
                "normalised_return": float(self.mean[row, column]),
                "low": None if np.isnan(self.low[row, column]) else float(self.low[row, column]),
                "high": None if np.isnan(self.high[row, column]) else float(self.high[row, column]),
            }
            for row, trained in enumerate(self.trained)
            for column, acting in enumerate(self.acting)
        ]


def transfer(
    agents: Sequence[Agent | str | Path],
    compressors: Sequence[Compressor | str | None] | None = None,
    *,
    episodes: int | None = None,
    copies: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Transfer:
    """Let agents that were trained with different compressors act under each of some, in the goals they hold out.

    >>> import keepmap
    >>> keepmap.transfer(["tiny"], ["none", keepmap.RecencyCompressor(6)], episodes=8).mean.shape
    (1, 2)

    Args:
        agents: agents, "tiny" or folders, of one room and one split of its goals.
        compressors: compressors, their names, or "none" for the whole window; by default those that the agents were
            trained with.
        episodes, copies, seed: as of `keepmap.evaluate`.
        progress: told the share of the work that is done.

    Raises:
        InputError: no agents or compressors, agents of different rooms or splits, or goals in which nothing can be
            earned above a random agent; and as `keepmap.evaluate`.
        ModelError: there is no such agent, or it is damaged.
    """
    if isinstance(agents, str | Path | Agent) or not isinstance(agents, Sequence) or not agents:
        raise InputError(f"expected `agents` to be a list of one agent or more, got {kind_of(agents)}")
    loaded = [load_agent(agent) for agent in agents]
    first = loaded[0]
    for agent in loaded:
        if agent.room != first.room or agent.held_out != first.held_out:
            raise InputError(
                f"{first.name} and {agent.name} have other rooms or held-out goals; give agents of one split"
            )
    if compressors is not None and (isinstance(compressors, str) or not isinstance(compressors, Sequence)):
        raise InputError(f"expected `compressors` to be a list of compressors or names, got {kind_of(compressors)}")
    given = [agent.compressor for agent in loaded] if compressors is None else compressors
    chosen = list(dict.fromkeys(acting_compressor(each, None) for each in given))
    if not chosen:
        raise InputError("expected `compressors` to be one or more, got none; leave it out for the agents' own")
    progress, pairs = as_function("progress", progress), len(loaded) * len(chosen)
    numbers = np.full((3, len(loaded), len(chosen)), np.nan)
    end = (1, 1)
    for row, agent in enumerate(loaded):
        for column, compressor in enumerate(chosen):
            evaluation = evaluate(
                agent,
                episodes=episodes,
                copies=copies,
                seed=seed,
                compressor=compressor,
                progress=part_of(progress, row * len(chosen) + column, pairs),
            )
            earned = evaluation.normalised
            if earned is None:
                raise InputError(
                    f"{first.room.title}: nothing can be earned at the end of {evaluation.episodes} episodes"
                )
            numbers[:, row, column] = [
                np.nan if value is None else value for value in (earned.mean, earned.low, earned.high)
            ]
            end = earned.end
    return Transfer(
        trained=tuple(_label(agent.compressor) for agent in loaded),
        acting=tuple(map(_label, chosen)),
        mean=numbers[0],
        low=numbers[1],
        high=numbers[2],
        goals=len(first.held_out),
        episodes=end,
    )


def _label(compressor: Compressor | None) -> str:
    return WHOLE_WINDOW if compressor is None else f"{compressor.name}, at most {compressor.max_length}"
