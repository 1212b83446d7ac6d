"""Pieces of Markdown that the generated pages are made of."""

import inspect
from collections.abc import Sequence

__all__ = ["fact_table", "link", "listed", "sentence", "table_of", "yes_or_no"]


def fact_table(facts: Sequence[tuple[str, str]]) -> str:
    """A table of two columns without a head."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts)])


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, *rows)).replace("\n", f"\n|{'---|' * len(head)}\n", 1)


def link(name: str) -> str:
    """A link to the page of that name beside this one."""
    return f"[`{name}`]({name}.md)"


def yes_or_no(holds: bool) -> str:
    """In a word."""
    return "yes" if holds else "no"


def sentence(block: str) -> str:
    """A paragraph of a docstring as one line that begins with a capital."""
    text = " ".join(block.split())
    return text[:1].upper() + text[1:]


def listed(block: str) -> str:
    """`name: text` lines, with indented continuations, as a Markdown list."""
    items: list[str] = []
    for line in inspect.cleandoc(block).splitlines():
        if line.startswith(" ") and items:
            items[-1] += f" {line.strip()}"
        else:
            name, _, text = line.partition(":")
            items.append(f"- `{name}`: {text.strip()}")
    return "\n".join(items)
