"""What a study of a family prints and writes: findings first, then a table of at most eight columns."""

from collections.abc import Sequence

from keepmap.agents.study.lives import FamilyStudy, LivesRow
from keepmap.printing.tables import Column, panels

__all__ = ["findings", "lives_page", "lives_table"]

WIDTH = 120
HEAD = ("normalised", "95 % interval", "IQM", "90 % from", "kept", "kFLOP", "KiB", "on the front of")
COSTS = {"kept": "kept", "bytes": "KiB", "flops": "kFLOP", "milliseconds": "ms"}


def findings(study: FamilyStudy) -> list[str]:
    """Who beats whom at each budget, and how few transitions are enough: sentences."""
    base = study.results[0]
    lines = [
        f"The whole history: normalised return {_between(base.normalised, base.normalised_low, base.normalised_high)} "
        f"of episodes {study.end[0]} to {study.end[1]} (0: random, 1: the best agent); regret {base.regret:.2f}",
    ]
    for percent, sentences in study.verdicts.items():
        lines += [f"{percent:g} % shorter: {sentences[0]}", *(f"  {sentence}" for sentence in sentences[1:])]
    for share in dict.fromkeys(line["share"] for line in study.critical):
        lines.append(f"Kept of the history for {share:.0%} of the whole one's: {_least(study, share)}")
    return lines


def _least(study: FamilyStudy, share: float) -> str:
    texts = []
    for line in study.critical:
        if line["share"] == share:
            sign = "at most " if line["at_most"] else ""
            ends = "" if line["low"] is None else f" [{line['low']:.0%}, {line['high']:.0%}]"
            texts.append(f"{line['compressor']} {sign}{line['footprint']:.0%}{ends}")
    return ", ".join(texts)


def lives_table(study: FamilyStudy) -> list[str]:
    """A line for each compressor and budget."""
    columns = zip(*map(_cells, study.results, study.fronts), strict=True)
    rest = [Column(title, cells) for title, cells in zip(HEAD, columns, strict=True)]
    if study.times:
        times = [study.times.get(row.label) for row in study.results]
        rest.insert(-1, Column("ms", tuple("-" if time is None else f"{time * 1e3:.1f}" for time in times)))
    return panels(Column("", tuple(row.label for row in study.results)), rest, WIDTH)


def lives_page(study: FamilyStudy) -> str:
    """The study as a page: findings, the table, what its columns mean."""
    lines = [f"| {' | '.join(['', *HEAD])} |", f"|{'---|' * (len(HEAD) + 1)}"]
    lines += [f"| {' | '.join([row.label, *_cells(row, row.fronts.split())])} |" for row in study.results]
    sentences = findings(study)
    text = [
        f"# {study.options['world']}: what shortened histories cost",
        f"Written by `{study.options['command']}`.",
        "\n".join(f"- {line.strip()}" for line in sentences),
        "\n".join(lines),
        f"{study.tasks} tasks that no training saw, {study.copies} lives of each agent in each, {study.agents} agents "
        "(training seeds), in rollout only: the weights as they were, with the compressor on while they act. Intervals "
        "are of 95 %, over tasks; that of the IQM is in study.csv. 90 % from: the first episode whose mean normalised "
        "return is 0.9. kept: transitions per action; kFLOP, KiB: of an action, and of keys and values at most. On the "
        "front: no other choice earns as much for less of it. What an action took by the clock is no result: it is in "
        "action_time.json and on the page.",
    ]
    return "\n\n".join(text) + "\n"


def _cells(row: LivesRow, fronts: Sequence[str]) -> Sequence[str]:
    between = [end for end in (row.normalised_low, row.normalised_high) if end is not None]
    ends = " .. ".join(map(_plain, between)) or "-"
    return (
        _plain(row.normalised),
        ends,
        _plain(row.middle),
        "-" if row.reached is None else f"{row.reached}",
        f"{row.kept:.1f}",
        f"{row.flops / 1e3:,.0f}",
        f"{row.bytes / 1024:,.0f}",
        " ".join(COSTS[cost] for cost in fronts) or "-",
    )


def _plain(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # 0.00 without a sign


def _between(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
