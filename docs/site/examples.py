"""Shows the examples of docstrings as code: this house writes them without a title, as doctest reads them."""

from typing import Any

from griffe import Extension, Object

__all__ = ["Examples", "fenced"]


class Examples(Extension):
    """Puts a fence around each example of each docstring, before its sections are read."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """What griffe calls for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """A docstring with fences around its examples; each ends at an empty line, as in doctest.

    >>> fenced("A sum.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['A sum.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    lines: list[str] = []
    margin: str | None = None  # of the example that is going on
    for line in [*docstring.splitlines(), ""]:
        if margin is None and line.lstrip().startswith(">>> "):
            margin = line[: len(line) - len(line.lstrip())]
            lines.append(f"{margin}```pycon")
        elif margin is not None and not line.strip():
            lines.append(f"{margin}```")
            margin = None
        lines.append(line)
    return "\n".join(lines[:-1])
