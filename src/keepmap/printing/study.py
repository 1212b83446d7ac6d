"""What a study prints and writes: its plan, its tables, and what was promised against what was measured."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

from keepmap.agents.config import Config
from keepmap.agents.evaluation.returns import EARLY, Estimate
from keepmap.agents.study.job import StudyJob
from keepmap.agents.study.promises import near_budget
from keepmap.agents.study.results import BASELINE, Study, StudyRow
from keepmap.printing.tables import Column, panels

__all__ = ["findings", "header", "legend", "markdown", "notes", "pattern_line", "promise_lines", "table"]

WIDTH = 80
VERDICTS = {True: "yes", False: "no", None: "not shown"}
NEARLY_ALL = 0.95
"""Of the baseline's return: the guide promises that less than 5 % are lost."""
PAGE = {
    "Returns": {
        **{"kept": "kept", "return": "return, trained", "of baseline": "of baseline", "95 % interval ": "its interval"},
        **{"solved": "solved", "of baseline ": "rollout only, of baseline", "95 % interval  ": "its interval"},
    },
    "Compute and memory": {
        **{name: name for name in ("ratio", "at most", "kFLOP/action", "saved", "saved, cached", "KiB held")},
        "saved ": "saved",
    },
    "Attention and time": {
        **{"moved": "moved", "95 % interval   ": "its interval", "entropy": "entropy", "baseline's": "baseline's"},
        **{name: name for name in ("training s", "ms/action", "ms/64 actions")},
    },
}
"""Title of a table of the page -> its columns, by their names in `_cells`, and their headings: eight with the row's."""
Timings = Mapping[str, Mapping[str, float]]
"""`StudyRow.label` -> training_seconds, and the seconds of an action at 1 and at 64 environments."""


def header(
    baselines: Sequence[str],
    config: Config,
    jobs: Sequence[StudyJob],
    *,
    held_out: int,
    left: int,
    workers: int,
    from_scratch: bool,
) -> list[str]:
    """What is going to be run.

    Args:
        baselines: the names of the agents that are compared with; `config` is that of their training.
        held_out, left: how many goals no training saw, and how many jobs are not done yet.
    """
    trained = [job for job in jobs if job.config is not None]
    room, updates = config.room(), trained[0].config.train_timesteps if trained[0].config else 0
    text = [
        f"Baseline: {', '.join(baselines)}; {room.title}, {held_out} held-out goals, window of "
        f"{config.n_transit} transitions",
        f"{len(trained)} trainings of {updates:,} updates and {len(jobs) - len(trained)} runs without, {left} of them "
        f"left to do, in {workers} process{'es' * (workers > 1)}",
        *notes(len(baselines), updates, from_scratch, max(job.planned.seed for job in jobs) + 1),
    ]
    return [line for sentence in text for line in textwrap.wrap(sentence, WIDTH, subsequent_indent="  ")]


def notes(agents: int, updates: int, from_scratch: bool, seeds: int) -> list[str]:
    """How agents were trained: sentences that belong to every table."""
    if from_scratch:
        sentences = [f"Every agent, the baseline too, was trained from random weights for {updates:,} updates."]
    else:
        sentences = [
            f"Retraining: every agent starts from the baseline's weights and is trained for {updates:,} more updates "
            "with its compressor; the baseline goes on for as many with its whole window, so that nobody has more "
            "training."
        ]
    sentences.append("In rollout only: the baseline's weights as they were, with the compressor on while it acts.")
    if agents == 1 and seeds > 1:
        sentences.append(
            "One checkpoint was given: training seeds differ in what is drawn after it, not in its weights."
        )
    return sentences


def table(study: Study, timings: Timings) -> list[str]:
    """A line for each compressor and budget; what was measured in rollout only stands beside what was trained."""
    rows = [row for row in study.results if row.trained]
    others = {(row.compressor, row.percent): row for row in study.results if not row.trained}
    first = Column("", tuple(row.label for row in rows))
    columns = [Column(title, tuple(cell(row) for row in rows)) for title, cell in _cells(others, timings)]
    return panels(first, columns, WIDTH)


def _cells(
    others: Mapping[tuple[str, float], StudyRow], timings: Timings
) -> list[tuple[str, Callable[[StudyRow], str]]]:
    def other(row: StudyRow, cell: Callable[[StudyRow], str]) -> str:
        untrained = others.get((row.compressor, row.percent))
        return "-" if untrained is None else cell(untrained)

    def timed(row: StudyRow, name: str, scale: float = 1.0, digits: int = 1) -> str:
        seconds = timings.get(row.label, {}).get(name)
        return "-" if seconds is None else f"{seconds * scale:.{digits}f}"

    return [
        ("seeds", lambda row: str(row.n_seeds)),
        ("return", lambda row: f"{row.early.mean:.2f}"),
        ("95 % interval", lambda row: _ends(row.early)),
        ("of baseline", lambda row: _percent(row.share)),
        ("95 % interval ", lambda row: _ends(row.share, 100.0, 1)),
        ("solved", lambda row: f"{row.solved:.0%}"),
        ("rollout only", lambda row: other(row, lambda untrained: f"{untrained.early.mean:.2f}")),
        ("of baseline ", lambda row: other(row, lambda untrained: _percent(untrained.share))),
        ("95 % interval  ", lambda row: other(row, lambda untrained: _ends(untrained.share, 100.0, 1))),
        ("all 40 episodes", lambda row: f"{row.whole.mean:.2f}"),
        ("kept", lambda row: f"{row.kept:.1f}"),
        ("of", lambda row: f"{row.kept / row.ratio:.1f}" if row.ratio else "-"),
        ("ratio", lambda row: f"{row.ratio:.1%}"),
        ("at most", lambda row: str(row.most_kept)),
        ("kFLOP/action", lambda row: f"{row.flops / 1e3:,.0f}"),
        ("saved", lambda row: f"{row.saved_flops:.1%}"),
        ("saved, cached", lambda row: f"{row.saved_cached_flops:.1%}"),
        ("KiB held", lambda row: f"{row.bytes / 1024:,.0f}"),
        ("saved ", lambda row: f"{row.saved_bytes:.1%}"),
        ("moved", lambda row: f"{row.distance.mean:.3f}"),
        ("95 % interval   ", lambda row: _ends(row.distance, 1.0, 3)),
        ("entropy", lambda row: _number(row.entropy)),
        ("baseline's", lambda row: _number(row.baseline_entropy)),
        ("training s", lambda row: timed(row, "training_seconds", digits=0)),
        ("ms/action", lambda row: timed(row, "1", 1e3)),
        ("ms/64 actions", lambda row: timed(row, "64", 1e3)),
    ]


def legend(study: Study) -> list[str]:
    """What the columns mean, in lines that fit a terminal."""
    return [line for meaning in _meanings(study) for line in textwrap.wrap(meaning, WIDTH, subsequent_indent="  ")]


def _meanings(study: Study) -> list[str]:
    base = study.row(BASELINE, 0.0, True)
    assert base is not None
    return [
        f"return: mean of episodes {EARLY[0]} to {EARLY[1]}; of baseline: paired over goals; intervals: 95 %, "
        f"over {base.early.n} goals, and over training seeds where there are three or more; solved: goals with 90 % "
        "of their optimum.",
        "kept, of, ratio: transitions per action. FLOPs by formula; agents that act together are computed as wide as "
        "the one that keeps most. The baseline's are those of its key/value cache, which a look at the whole window "
        f"also uses where attention decides; without it, each of the two takes {base.again_flops / 1e3:,.0f} k. saved: "
        "nobody has the cache; saved, cached: the baseline and the look have it. KiB held: keys and values, of the "
        "whole window too where attention decides.",
        "moved: total variation between the agent's attention over what is kept and the baseline's over the same "
        "transitions; entropy: of either, over ln n.",
        "training s: on the clock, while other runs shared the machine, so that it compares nothing; ms/action: "
        "measured after all runs.",
    ]


def pattern_line(study: Study) -> str:
    """The attention pattern that decides which compressor is matched to it."""
    pattern = study.pattern
    return (
        f"The baseline's attention has an entropy of {pattern['nats']:.2f} nats and a recent/distant ratio of "
        f"{pattern['recent_distant']:.2f}: the guide matches {pattern['matched']} to it."
    )


def promise_lines(study: Study) -> list[str]:
    """What was promised against what was measured."""
    promises = study.promises
    columns = [
        Column("of", tuple(str(promise["of"]) for promise in promises)),
        Column("measured", tuple(str(promise["measured"]) for promise in promises)),
        Column("holds", tuple(VERDICTS[promise["holds"]] for promise in promises)),
    ]
    first = Column("promised", tuple(str(promise["promised"]) for promise in promises))
    lines = [line for text in (pattern_line(study), *_rules(study)) for line in textwrap.wrap(text, WIDTH)]
    return [*lines, "", *panels(first, columns, WIDTH)]


def _rules(study: Study) -> list[str]:
    """How promises are judged."""
    rules = [
        "What is saved holds from 5 points below what was promised; a loss holds, or not, where its whole 95 % "
        'interval does, and is "not shown" else.'
    ]
    out = [row for row in study.results if row.trained and row.compressor != BASELINE and not near_budget(row)]
    if out:
        names = ", ".join(f"{row.label} ({row.ratio:.1%} kept)" for row in out)
        rules.append(f"Left out, since they keep another share than their budget's: {names}.")
    return rules


def markdown(study: Study, timings: Timings, figure: str) -> str:
    """The study as a page: what was found, the figure, what was promised, tables of eight columns, how it was done.

    Every column is in the CSV beside it, of the figure's name.
    """
    rows = [row for row in study.results if row.trained]
    others = {(row.compressor, row.percent): row for row in study.results if not row.trained}
    cells = dict(_cells(others, timings))
    promises = [
        (promise["promised"], promise["of"], promise["measured"], VERDICTS[promise["holds"]])
        for promise in study.promises
    ]
    csv = f"{figure.rpartition('.')[0]}.csv"
    text = [
        "# Compressors: what they cost",
        f"Written by `{study.options['command']}`.",
        "\n".join(f"- {finding}" for finding in findings(study)),
        f"![Share of the baseline's return against how much shorter histories are]({figure})",
        "## What was promised",
        *(pattern_line(study), *_rules(study)),
        _markdown_table(("promised", "of", "measured", "holds"), promises),
        "## All numbers",
        f"[Every column, one row for each agent]({csv.rpartition('/')[2]}).",
    ]
    for title, names in PAGE.items():
        lines = [(row.label, *(cells[name](row) for name in names)) for row in rows]
        text += [f"### {title}", _markdown_table(("", *names.values()), lines)]
    text += ["## How it was measured", "\n".join(f"- {note}" for note in (*study.options["notes"], *_meanings(study)))]
    return "\n\n".join(text) + "\n"


def findings(study: Study) -> list[str]:
    """What the numbers say, in sentences: who keeps nearly all of the return, trained and not; the promises.

    Means alone are compared with the line of 95 %; their intervals are in the tables.
    """
    sentences = []
    for trained in (True, False):
        rows = [row for row in study.results if row.trained is trained and row.compressor != BASELINE and row.share]
        how = "trained with it" if trained else "in rollout only"
        for percent in sorted({row.percent for row in rows}):
            shares = {row.compressor: row.share.mean for row in rows if row.percent == percent and row.share}
            order = sorted(shares, key=lambda name: -shares[name])
            near = [name for name in order if shares[name] >= NEARLY_ALL]
            less = [f"{name} {100 * shares[name]:.0f} %" for name in order if name not in near]
            line = f"{100 * NEARLY_ALL:.0f} % of the baseline's return or more"
            kept = f"{len(near)} of {len(order)} compressors keep {line}"
            named = f" ({', '.join(near)})" if near and less else ""
            sentences.append(f"{percent:g} % shorter, {how}: {kept}{named}{'; ' * bool(less)}{', '.join(less)}.")
    kept_promises = sum(promise["holds"] is True for promise in study.promises)
    sentences.append(f"Of {len(study.promises)} promises of the guide, {kept_promises} hold.")
    return sentences


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


def _percent(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.mean:.1%}"


def _ends(estimate: Estimate | None, scale: float = 1.0, digits: int = 2) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{scale * estimate.low:.{digits}f} .. {scale * estimate.high:.{digits}f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
