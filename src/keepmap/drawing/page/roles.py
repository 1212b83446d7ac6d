"""Who speaks where in a chat: the turns that a chat template's own marks begin, as spans of the text."""

import re
from collections.abc import Sequence

from keepmap.drawing.page.spans import Span, tokens_of

__all__ = ["role_spans"]

MOST = 200
"""Turns that are shown; a longer chat has more in its text."""

_ROLE = "(system|developer|user|assistant|tool|model|human)"
_TURN = re.compile(
    rf"<\|im_start\|>{_ROLE}|<\|start_header_id\|>{_ROLE}<\|end_header_id\|>|<start_of_turn>{_ROLE}|<\|{_ROLE}\|>"
)


def role_spans(pieces: Sequence[str]) -> list[Span]:
    """The turns of a chat, each from its mark to the next one; none where the text has no such marks.

    >>> role_spans(["<|im_start|>", "user", "\\n", "Hi", "<|im_end|>", "<|im_start|>", "assistant", "\\n", "Yes"])
    [Span(name='user', start=0, end=5, text=None), Span(name='assistant', start=5, end=9, text=None)]
    """
    text = "".join(pieces)
    turns = [(match.start(), next(filter(None, match.groups()))) for match in _TURN.finditer(text)][:MOST]
    ends = [start for start, _ in turns[1:]] + [len(text)] * bool(turns)
    spans = []
    for (start, role), end in zip(turns, ends, strict=True):
        first, until = tokens_of(pieces, start, end)
        spans.append(Span(role, first, until))
    return spans
