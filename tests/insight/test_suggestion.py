"""A suggestion as a value: lines that paste, JSON, and a card."""

import ast
import json

import pytest

from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.text_subject import TextSubject


@pytest.mark.parametrize(
    ("suggestion", "code"),
    [
        (
            AgentSubject().suggestion("recency", 12, 40),
            (
                "from compression_strategies import RecencyCompressor",
                "compressor = RecencyCompressor(keep_recent=12)",
            ),
        ),
        (
            TextSubject(4).suggestion("recency", 12, 40),
            None,
        ),
    ],
)
def test_it_pastes_as_lines_of_80_columns(suggestion: Suggestion, code: tuple[str, ...] | None) -> None:
    assert all(len(line) <= 80 for line in suggestion.code)
    ast.parse("\n".join(suggestion.code))
    assert code in (None, suggestion.code)
    assert ast.dump(ast.parse("\n".join(suggestion.code))) == ast.dump(ast.parse(suggestion.line))


def test_it_is_json_and_a_card_and_two_lines() -> None:
    suggestion = AgentSubject().suggestion("uniform", 12, 40)
    assert json.loads(json.dumps(suggestion.document())) == {
        "pattern": "uniform",
        "keep": 12,
        "of": 40,
        "name": "uniform",
        "options": {"target_length": 12},
        "line": suggestion.line,
    }
    assert repr(suggestion) == f"CompressorSuggestion(uniform: keep 12 of 40 positions)\n  {suggestion.line}"
    assert "<table" in suggestion._repr_html_() and "target_length" in suggestion._repr_html_()
