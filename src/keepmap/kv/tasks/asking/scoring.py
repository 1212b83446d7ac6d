"""RULER's scoring of an answer, and the stricter count beside it."""

import re
from collections.abc import Sequence
from typing import Literal

__all__ = ["is_exact", "ruler_score"]

_CONTROL = re.compile(r"[\x00-\x1f]")


def ruler_score(answer: str, references: Sequence[str], scoring: Literal["all", "part"]) -> float:
    """The share of the references that the answer holds ("all"), or whether it holds any of them ("part").

    Letters are compared as small ones, control characters as ends of lines.

    >>> ruler_score("They are 12, and 34.", ["12", "56"], "all"), ruler_score("It is Paris.", ["paris", "Lyon"], "part")
    (0.5, 1.0)
    """
    text = _CONTROL.sub("\n", answer.strip()).strip().lower()
    held = [reference.lower() in text for reference in references]
    return sum(held) / len(held) if scoring == "all" else float(any(held))


def is_exact(answer: str, target: str) -> bool:
    """Whether the answer begins with the right one, and no letter or digit goes on there.

    >>> is_exact(" 4821.", " 4821"), is_exact(" 48215", " 4821"), is_exact(" It is 4821", " 4821")
    (True, False, False)
    """
    text, wanted = " ".join(answer.split()).lower(), " ".join(target.split()).lower()
    return text.startswith(wanted) and not text[len(wanted) :][:1].isalnum()
