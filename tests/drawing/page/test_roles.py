"""Who speaks where in a chat: by the marks of chat templates, whatever the tokens are."""

import pytest

from keepmap.drawing.page.roles import MOST, role_spans
from keepmap.drawing.page.spans import Span


@pytest.mark.parametrize(
    "pieces",
    [
        ["<|im_start|>", "system", "\n", "Be", "<|im_start|>user", "\n", "Hi"],
        [
            "<|start_header_id|>system",
            "<|end_header_id|>",
            "x",
            "y",
            "<|start_header_id|>",
            "user<|end_header_id|>",
            "Hi",
        ],
        ["<start", "_of", "_turn>", "system", "<start_of_turn>user", "a", "b"],
        ["<|system|>", "a", "b", "c", "<|user|>", "d", "e"],
    ],
)
def test_turns_begin_at_their_marks(pieces):
    assert role_spans(pieces) == [Span("system", 0, 4), Span("user", 4, 7)]


def test_a_text_without_marks_has_no_roles_and_a_long_chat_has_the_first():
    assert role_spans(["a", "b"]) == role_spans([]) == []
    assert len(role_spans(["<|user|>", "x"] * 1000)) == MOST
