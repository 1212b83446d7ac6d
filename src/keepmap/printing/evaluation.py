"""What an evaluation prints: the goals, a table of them, and the means with their intervals."""

import textwrap

from keepmap.agents.compressor import Compressor
from keepmap.agents.environments.goals import Goal
from keepmap.agents.evaluation.protocol import Protocol
from keepmap.agents.evaluation.returns import EARLY, FILE, LAST, SOLVED, Estimate, Evaluation
from keepmap.printing.tables import Column, panels

__all__ = ["header", "normalised_lines", "summary", "table"]

MOST_ROWS = 100


def header(protocol: Protocol) -> list[str]:
    """What is going to be played."""
    room, episodes, copies = protocol.room, protocol.episodes, protocol.copies
    goals = [goal for side in protocol.goals for goal in side]
    config, trained = protocol.agents[0].config, protocol.agents[0].compressor
    contexts = dict.fromkeys(_context(config.n_transit, trained, acting) for acting in protocol.compressors)
    shown = " ".join(_short(goal) for goal in goals[:MOST_ROWS])
    more = f" and {len(goals) - MOST_ROWS:,} more" if len(goals) > MOST_ROWS else ""
    return [
        *textwrap.wrap(f"Evaluation goals: {shown}{more}", 80, subsequent_indent="  "),
        f"  {room.title}, {episodes:,} episodes of {room.horizon} steps, "
        f"{copies:,} {'copy' if copies == 1 else 'copies'} of each goal, seed {protocol.seed}",
        *textwrap.wrap(f"  Context: {', '.join(contexts)}", 80, subsequent_indent="    "),
        "",
    ]


def _context(n_transit: int, trained: Compressor | None, compressor: Compressor | None) -> str:
    """What the agent has before it when it acts, and what it was trained with where that differs."""
    whole = f"the last {n_transit} transitions"
    note = "" if compressor == trained else " (trained with " + ("whole windows)" if trained is None else f"{trained})")
    return (whole if compressor is None else f"{compressor} of {whole}") + note


def _short(goal: Goal) -> str:
    return f"({','.join(map(str, goal))})"


def table(evaluation: Evaluation) -> list[str]:
    """A line for each goal, of the first hundred."""
    rows = list(zip(evaluation.goals, evaluation.returns.mean(1), evaluation.optimum, strict=True))[:MOST_ROWS]
    last, solved = evaluation.last[:MOST_ROWS], evaluation.success[:MOST_ROWS]
    names = tuple(f"Env {index} (goal={goal})" for index, (goal, _, _) in enumerate(rows))
    columns = [
        Column("mean reward", tuple(f"{mean:.2f}" for _, mean, _ in rows)),
        Column("optimum", tuple(f"{best:.2f}" for _, _, best in rows)),
        Column("share", tuple(f"{_share(mean, best)}" for _, mean, best in rows)),
        Column(f"last {min(LAST, evaluation.episodes)}", tuple(f"{value:.2f}" for value in last)),
        Column("solved", tuple("yes" if is_solved else "no" for is_solved in solved)),
    ]
    left = len(evaluation.goals) - len(rows)
    return [*panels(Column("", names), columns, 80), *([f"and {left:,} more, in {FILE}"] if left else []), ""]


def summary(evaluation: Evaluation) -> list[str]:
    """The means over goals, with their intervals, and how many goals are solved."""
    n = len(evaluation.goals)
    optimum = sum(evaluation.optimum) / n
    early = evaluation.early
    lines = [f"Overall mean reward: {_estimate(evaluation.estimate(), optimum)}"]
    if early is not None:
        lines.append(f"  of episodes {EARLY[0]} to {EARLY[1]}: {_estimate(early, optimum)}")
    lines += [
        f"Std deviation: {evaluation.standard_deviation:.2f} (of an episode, over goals and episodes)",
        f"Solved: {sum(evaluation.success)} of {n} goals "
        f"(last {min(LAST, evaluation.episodes)} episodes at {100 * SOLVED:.0f} % of the optimum or more)",
    ]
    lines += normalised_lines(evaluation)
    trained_on = len(evaluation.options["trained_on"])
    if trained_on:
        lines.append(f"Note: {trained_on} of these goals were in the training")
    if evaluation.estimate().low is not None:
        lines.append("[...]: 95 % interval over goals")
    return lines


def normalised_lines(evaluation: Evaluation) -> list[str]:
    """What was earned between a random and the best agent, and how soon."""
    normalised = evaluation.normalised
    if normalised is None:
        return []
    middle, adaptation, (first, last) = normalised.middle, normalised.adaptation, normalised.end
    reached = "never" if adaptation.episodes is None else f"from episode {adaptation.episodes} on"
    return [
        f"Normalised return of episodes {first} to {last} (0: random, 1: the best agent):",
        f"  mean {_between(normalised.mean, normalised.low, normalised.high)}, "
        f"interquartile mean {_between(middle.value, middle.low, middle.high)}",
        f"  90 % {reached}; regret {adaptation.regret:.2f}; largest fall {adaptation.drop:.2f}",
    ]


def _between(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _estimate(estimate: Estimate, optimum: float) -> str:
    share = _share(estimate.mean, optimum)
    return f"{estimate}, n={estimate.n} ({share} of the optimum {optimum:.2f})"


def _share(mean: float, best: float) -> str:
    return f"{mean / best:.1%}" if best else "-"
