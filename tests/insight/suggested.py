"""What the lines of suggestions make."""

import ast

import compression_strategies
from keepmap.insight.suggestion import Suggestion


def compressor_of(suggestion: Suggestion) -> object:
    """What the line of code makes."""
    *_, assignment = ast.parse(suggestion.line).body
    assert isinstance(assignment, ast.Assign) and isinstance(assignment.value, ast.Call)
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in assignment.value.keywords}
    assert options == suggestion.options
    return getattr(compression_strategies, assignment.value.func.id)(**options)  # type: ignore[attr-defined]
