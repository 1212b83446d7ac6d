"""What methods answer against the memory that they hold, a panel for each task."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from keepmap.core.arguments import shown
from keepmap.core.labels import model_label
from keepmap.drawing.parts.arguments import AxesLike, check_kind, given_axes
from keepmap.drawing.parts.heading import Heading, Wording
from keepmap.drawing.parts.page import blank_figure, panel, width_in_points
from keepmap.drawing.parts.style import figure_style, marked_style
from keepmap.errors import InputError, counted, did_you_mean, escaped
from keepmap.kv.tasks import FULL, SummaryRow, TaskRun

__all__ = ["answers_by_memory"]

MEASURES = {"score": "score (share of answers)", "nll": "NLL of the answer (nats per token)"}
MEMORIES = {"held": "entries held at the answer", "footprint": "entries held on average"}
ACROSS = 3
"""Panels beside each other."""
WIDTH, HEIGHT, LEFT, BELOW = 3.3, 2.3, 0.75, 0.85
"""Inches of a panel, and of what stands to the left of it and below."""
NAME = 16.0
"""Points for the name of a task above its panel."""
APART = 3.0
"""Points between the marks of two methods that hold the same."""


def answers_by_memory(
    run: TaskRun,
    *,
    measure: str = "score",
    by: str = "held",
    title: str | None = None,
    legend: bool = True,
    caption: bool | str = True,
    ax: AxesLike | None = None,
) -> tuple[Axes, ...]:
    """Draw each method's answers, with their 95 % interval, against the memory that it holds; the full cache is grey.

    Memory is a share of the full cache's entries. Only tasks that pass the gate are drawn; texts, which have a
    likelihood alone, where `measure` is "nll".

    Args:
        run: of several densities; of one, there is a point for each method.
        measure: "score", RULER's, or "nll", of the right answer.
        by: "held", when the answer begins, or "footprint", the mean over the steps until then.
        title: the first line above the figure; by default the model's label, "" for none.
        legend: whether there is a legend.
        caption: whether the number of questions is written under the title; a string stands there instead.
        ax: Axes to draw into, one for each task. By default a new Figure's, in the project's style whatever the user's
            rcParams are.

    Returns:
        The Axes drawn into, one for each task.

    Raises:
        InputError: no TaskRun, or one without such a measure.

    >>> import keepmap
    >>> run = keepmap.sweep("tiny", "facts", "streaming_llm", density=(0.2, 0.6), n_samples=3, length=150)
    >>> (ax,) = keepmap.draw.answers_by_memory(run)
    >>> ax.get_xlabel()
    'entries held at the answer (% of all)'
    """
    check_kind("run", run, TaskRun, "a TaskRun")
    for name, value, known in (("measure", measure, MEASURES), ("by", by, MEMORIES)):
        if value not in known:
            raise InputError(f"unknown `{name}` {shown(value)}, {did_you_mean(str(value), known)}")
    by_task = {
        task: rows
        for task in run.tasks
        if (rows := [row for row in run.summary if row.task == task and getattr(row, measure) is not None])
    }
    if not by_task:
        raise InputError(f"expected `run` to have a task with a {measure}, got none")
    wording = Wording(f"Answers · {model_label(run.card.get('model'))}", title, legend, caption)
    labels = run.methods
    if ax is not None:
        axes = given_axes(ax, len(by_task), what=", one for each task")
        _draw(axes, by_task, labels, measure, by)
        _heading(run, by_task, labels, wording, width_in_points(*axes)).draw(axes[0])
        return axes
    across = min(ACROSS, len(by_task))
    down = -(-len(by_task) // across)
    width = across * (LEFT + WIDTH) + 0.2
    with figure_style():
        heading = _heading(run, by_task, labels, wording, (width - LEFT - 0.2) * 72)
        top = heading.height + 0.1
        figure = blank_figure(width, top + down * (HEIGHT + BELOW), heading.label)
        axes = tuple(
            panel(
                figure,
                LEFT + (at % across) * (LEFT + WIDTH),
                top + (at // across) * (HEIGHT + BELOW),
                WIDTH,
                HEIGHT,
            )
            for at in range(len(by_task))
        )
        _draw(axes, by_task, labels, measure, by)
        heading.draw(axes[0])
    return axes


def _heading(
    run: TaskRun, by_task: dict[str, list[SummaryRow]], labels: dict[str, str], wording: Wording, width: float
) -> Heading:
    full = Line2D([], [], label="Full cache", color="0.45", linestyle=(0, (4, 2)), linewidth=1.2)
    lines = [Line2D([], [], label=label, **marked_style(at)) for at, label in enumerate(labels.values())]
    rows = [row for rows in by_task.values() for row in rows if row.method == FULL]
    n, contexts = (sum(getattr(row, name) for row in rows) for name in ("n", "n_contexts"))
    statistics = [
        f"{counted(n, 'question')} about {counted(contexts, 'context')}",
        f"mode {run.card.get('mode', 'decode')}",
        "95 % interval over contexts",
    ]
    return wording.heading(statistics, [full, *lines], width, lift=NAME)


def _draw(
    axes: Sequence[Axes], by_task: dict[str, list[SummaryRow]], labels: dict[str, str], measure: str, by: str
) -> None:
    for ax, (task, rows) in zip(axes, by_task.items(), strict=True):
        for row in rows:
            if row.method == FULL:
                ax.axhline(getattr(row, measure), color="0.45", linestyle=(0, (4, 2)), linewidth=1.2)
        for at, (key, label) in enumerate(labels.items()):
            own = sorted((row for row in rows if row.method == key), key=lambda row: getattr(row, by))
            if not own:
                continue
            values = [getattr(row, measure) for row in own]
            reach = [
                [
                    0.0 if (low := getattr(row, f"{measure}_low")) is None else max(0.0, getattr(row, measure) - low)
                    for row in own
                ],
                [
                    0.0 if (high := getattr(row, f"{measure}_high")) is None else max(0.0, high - getattr(row, measure))
                    for row in own
                ],
            ]
            held = [100 * getattr(row, by) for row in own]
            bars = ax.errorbar(held, values, yerr=reach, label=label, capsize=1.5, elinewidth=0.6, **marked_style(at))
            # Methods of one density hold the same: side by side, their intervals are seen.
            aside = ScaledTranslation((at - (len(labels) - 1) / 2) * APART / 72, 0, ax.figure.dpi_scale_trans)
            for artist in bars.get_children():
                artist.set_transform(artist.get_transform() + aside)
        ax.set(xlabel=f"{MEMORIES[by]} (% of all)", ylabel=MEASURES[measure], xlim=(0, 100))
        ax.set_ylim(*((-0.04, 1.04) if measure == "score" else (0, None)))
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.text(0.02, 1.02, escaped(task), transform=ax.transAxes, fontsize=9, va="bottom", parse_math=False)
        ax.spines[["top", "right"]].set_visible(False)
