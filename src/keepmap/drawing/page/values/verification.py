"""A verification on the page: what deleting by each rule saved against random, layer by layer."""

from typing import Any

from keepmap.drawing.page.values.shown import Shown, table_of, that_needs
from keepmap.errors import counted
from keepmap.insight.verification import COSTS, RULES, Verification

__all__ = ["shown_verification"]


def shown_verification(verification: Verification, folder: str | None) -> Shown:
    """What the page shows of a verification."""
    return Shown(
        caption=verification.caption,
        verdict=_verdict(verification),
        warnings=verification.skipped,
        python=(
            *that_needs("verification", "read_verification", folder, "`keepmap attention --verify`"),
            "verification.rows",
        ),
        settings={
            "seed": verification.seed,
            "n_draws": verification.n_draws,
            "suggestion": verification.suggestion.line,
        },
        table=_table(verification),
        more=[_compared(verification)] if verification.compared else [],
    )


def _verdict(verification: Verification) -> str:
    insights = verification.insights
    parts = []
    for rule in RULES:
        own = [insight for insight in insights if insight.rule == rule]
        if own:
            parts.append(f"{sum(insight.held for insight in own)} of {len(own)} by the rule \u201c{rule}\u201d")
    held = "; ".join(parts) or "none was tested"
    return (
        f"Insights that held when they were tested by deletion: {held}. "
        f"{counted(verification.n_samples, 'sample')}, {counted(verification.n_draws, 'random draw')} for each."
    )


def _table(verification: Verification) -> dict[str, Any]:
    columns = [
        ("layer", "", "whole"),
        ("rule", "the guide's recommendation, or keepmap's", "words"),
        ("pattern", "what the rule saw", "words"),
        ("kept", "share of the positions that it may drop", "share"),
        ("cost", "nats, of dropping the others", "number"),
        ("random", "nats, of keeping as many at random", "number"),
        ("saved", "random's cost less the rule's", "signed"),
        ("95 % interval", "of what is saved, over texts or goals", "interval"),
        ("n", "trials", "whole"),
        ("verdict", "", "words"),
    ]
    names = ("layer", "rule", "pattern", "kept", "cost", "random", "saved")
    rows = [
        [*(row[name] for name in names), [row["low"], row["high"]], row["n"], row["verdict"]]
        for row in verification.rows
    ]
    return table_of(COSTS[verification.costs[0]] + ", nats", columns, rows)


def _compared(verification: Verification) -> dict[str, Any]:
    columns = [
        ("rule", "", "words"),
        ("suggestion", "", "words"),
        ("whole", "with everything", "number"),
        ("suggested", "with what is suggested", "number"),
        ("random", "with as many at random", "number"),
        ("rival", "with another choice of as many", "words"),
        ("unit", "", "words"),
        ("verdict", "against random", "words"),
    ]
    rows = []
    for each in verification.compared:
        rival = None if each.rival is None else f"{each.rival.name}: {each.rival.value:.4g}"
        rows.append(
            [each.rule, each.suggestion.line, each.whole, each.suggested, each.random, rival, each.unit, each.word]
        )
    return table_of("The overall suggestions against random, and against a rival of the same length", columns, rows)
