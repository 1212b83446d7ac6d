"""What agents earn in the tasks that no training saw, under one compressor, and what acting takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.agents.acting.agent import Agent
from keepmap.agents.evaluation.evaluate import evaluate
from keepmap.agents.study.plan import PlannedRun, plan_study
from keepmap.agents.study.run import use_of
from keepmap.agents.study.tally import Tally, watched
from keepmap.core.files import plain
from keepmap.core.progress import Progress, part_of
from keepmap.errors import InputError

__all__ = ["Lived", "lived", "planned_lives"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Lived:
    """S agents (training seeds), C lives of each in each of G tasks.

    Attributes:
        compressor, percent, length: how much shorter, and how many are kept at most; 0 and the window for the baseline.
        returns: [S, G, C, E], of each episode.
        kept, ratio: how many transitions were kept per action, and of how many there were, as a share.
        flops, bytes: of an action, and held at most (see `keepmap.agents.study.cost`).
    """

    compressor: str
    percent: float
    length: int
    returns: Float[np.ndarray, "S G C E"]
    kept: float
    ratio: float
    flops: float
    bytes: int

    def document(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {name: plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Lived":
        """The lives whose `document` this is.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        values = {field.name: document[field.name] for field in fields(cls)}
        values["returns"] = np.array(values["returns"], dtype=np.float64)
        if values["returns"].ndim != 4 or not np.isfinite(values["returns"]).all():
            raise ValueError("its returns are not those of agents, tasks, copies and episodes")
        return cls(**values)


def planned_lives(names: str | Sequence[str], budgets: Sequence[float], n_transit: int) -> tuple[PlannedRun, ...]:
    """The baseline, and every compressor at every budget; nothing is trained.

    Raises:
        InputError: as `plan_study`.
    """
    plan = plan_study(names, budgets, 1, n_transit, 1)
    return tuple(planned for planned in plan if not planned.trained)


def lived(agents: Sequence[Agent], planned: PlannedRun, copies: int, progress: Progress | None = None) -> Lived:
    """Let agents live through their held-out tasks with what a compressor keeps of their histories.

    Raises:
        InputError: the agents do not hold out the same tasks.
    """
    compressor, uses, returns = planned.make(), [], []
    for number, agent in enumerate(agents):
        if agent.room != agents[0].room or agent.held_out != agents[0].held_out:
            raise InputError(f"{agents[0].name} and {agent.name} hold out other tasks; give agents of one recipe")
        tally = Tally(whole_life=compressor is not None and compressor.remembers)
        evaluation = evaluate(
            agent,
            agent.held_out,
            copies=copies,
            compressor="none" if compressor is None else watched(compressor, tally.see),
            progress=part_of(progress, number, len(agents)),
        )
        uses.append(use_of(agent, compressor, tally, evaluation.episodes))
        returns.append(evaluation.all_returns)
    return Lived(
        compressor=planned.compressor,
        percent=planned.percent,
        length=planned.length,
        returns=np.stack(returns),
        kept=float(np.mean([use.kept for use in uses])),
        ratio=float(np.mean([use.kept / max(use.length_mean, 1e-9) for use in uses])),
        flops=float(np.mean([use.flops for use in uses])),
        bytes=max(use.bytes for use in uses),
    )
