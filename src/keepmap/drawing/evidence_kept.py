"""What each layer and head holds of the evidence when the answer begins, where it is right and where it is wrong."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keepmap.core.arguments import shown
from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, share_legend, width_in_points
from keepmap.drawing.parts.style import EVICTED, KEPT, figure_style, ramp
from keepmap.errors import InputError, escaped
from keepmap.kv.tasks import AnswerRow, TaskRun

__all__ = ["evidence_kept"]

WIDTH, HEIGHT, BETWEEN, LEFT = 0.7, 2.6, 0.12, 0.7
"""Inches: of a panel, between right and wrong, and to the left of a method."""
NAMES = 34.0
"""Points for a method's name above its panels, and what they are of."""

Halves = tuple[list[AnswerRow], list[AnswerRow]]
"""Answers that are right, and those that are wrong."""


def evidence_kept(
    run: TaskRun,
    *,
    task: str | None = None,
    density: float | None = None,
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw the share of the evidence's entries that each layer and KV head holds, for right answers and for wrong ones.

    Two panels for each method, layers down and heads across. Where there is no such answer a panel is empty.

    Args:
        run: answers with evidence.
        task: which; by default the first that has evidence.
        density: which; by default the middle one of the run's.
        title: the first line above the figure; by default the task and the model's label, "" for none.
        legend: whether there is a legend.
        caption: whether the density and the number of answers are written under the title; a string stands there.
        ax: Axes to draw into, two for each method. By default a new Figure's, in the project's style whatever the
            user's rcParams are.

    Returns:
        The Axes drawn into: of each method that for right answers, then that for wrong ones.

    Raises:
        InputError: no TaskRun, no evidence, or no such task or density.

    >>> import keepmap
    >>> run = keepmap.run_tasks("tiny", "facts", "streaming_llm", density=0.2, n_samples=2, length=150)
    >>> right, wrong = keepmap.draw.evidence_kept(run)
    >>> right.get_ylabel()
    'layer'
    """
    check_kind("run", run, TaskRun, "a TaskRun")
    with_evidence = [name for name in run.tasks if any(row.by_head for row in run.answers if row.task == name)]
    if not with_evidence:
        raise InputError("expected `run` to have a task with evidence, got none")
    for name, value, known in (("task", task, with_evidence), ("density", density, run.densities)):
        if value is not None and value not in known:
            raise InputError(f"expected `{name}` to be one of {', '.join(map(str, known))}, got {shown(value)}")
    task = with_evidence[0] if task is None else task
    density = run.densities[len(run.densities) // 2] if density is None else density
    halves = {label: _halves(run.of(task, key, density)) for key, label in run.methods.items()}
    wording = Wording(f"Evidence kept: {task} · {model_label(run.card.get('model'))}", title, legend, caption)
    if ax is not None:
        axes = given_axes(ax, 2 * len(halves), what=", two for each method")
        _draw(axes, halves)
        _heading(density, halves, wording, width_in_points(*axes)).draw(axes[0])
        return axes
    pair = LEFT + 2 * WIDTH + BETWEEN
    width = max(4.0, len(halves) * pair + 0.3)
    with figure_style():
        heading = _heading(density, halves, wording, (width - LEFT - 0.3) * 72)
        top = heading.height + 0.1
        figure = blank_figure(width, top + HEIGHT + 0.55, heading.label)
        axes = tuple(
            panel(figure, LEFT + at * pair + half * (WIDTH + BETWEEN), top, WIDTH, HEIGHT)
            for at in range(len(halves))
            for half in (0, 1)
        )
        _draw(axes, halves)
        heading.draw(axes[0])
    return axes


def _halves(answers: Sequence[AnswerRow]) -> Halves:
    with_evidence = [row for row in answers if row.by_head is not None]
    return ([row for row in with_evidence if row.score == 1.0], [row for row in with_evidence if row.score != 1.0])


def _mean(rows: Sequence[AnswerRow]) -> Float[np.ndarray, "L G"]:
    return np.stack([np.array(row.by_head or ()) for row in rows]).mean(axis=0)


def _heading(density: float, halves: dict[str, Halves], wording: Wording, width: float) -> Heading:
    n = max(len(right) + len(wrong) for right, wrong in halves.values())
    statistics = [f"density {density:g}", f"{n} answers of each method", "mean share of the evidence's entries held"]
    return wording.heading(statistics, share_legend(False), width, lift=NAMES)


def _draw(axes: Sequence[Axes], halves: dict[str, Halves]) -> None:
    colours = ramp(EVICTED, KEPT)
    panels = [(label, half, rows) for label, both in halves.items() for half, rows in enumerate(both)]
    for ax, (label, half, rows) in zip(axes, panels, strict=True):
        if rows:
            shares = _mean(rows)
            ax.imshow(
                colours[np.round(255 * shares).astype(np.int64)],
                aspect="auto",
                interpolation="nearest",
                extent=(-0.5, shares.shape[1] - 0.5, shares.shape[0] - 0.5, -0.5),
            )
        else:
            ax.set(xticks=[], yticks=[])
            ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color="0.4", fontsize=8)
        for axis in (ax.xaxis, ax.yaxis) if rows else ():
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
        ax.set_xlabel("head", fontsize=8)
        ax.tick_params(labelsize=7)
        words = f"{'wrong' if half else 'right'} ({len(rows)})"
        ax.text(0.5, 1.01, words, transform=ax.transAxes, fontsize=7, ha="center", va="bottom")
        if half:
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel("layer")
            ax.text(
                0.0, 1.09, escaped(label), transform=ax.transAxes, fontsize=8, ha="left", va="bottom", parse_math=False
            )
