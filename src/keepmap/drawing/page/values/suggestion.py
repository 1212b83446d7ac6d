"""A suggestion on the page: what to keep, and the line that does it. Classes of both wings are known by their names."""

from typing import Any

from keepmap.drawing.page.values.shown import Shown, table_of
from keepmap.errors import counted

__all__ = ["shown_suggestion"]


def shown_suggestion(suggestion: Any) -> Shown:
    """What the page shows of a suggestion; it is not tested, and the page says how that is done."""
    share = suggestion.keep / suggestion.of if suggestion.of else 1.0
    return Shown(
        caption=f"{suggestion.name}, for attention of the pattern \u201c{suggestion.pattern}\u201d",
        verdict=f"Keep {suggestion.keep:,} of {counted(suggestion.of, 'position')}, {share:.0%}, by {suggestion.name}.",
        warnings=("A suggestion is read off one profile: keepmap.verify tests it by deletion.",),
        python=(*_needs(suggestion), *suggestion.code),
        settings=suggestion.options,
        table=table_of(
            "What is suggested",
            [("pattern", "what the attention is like", "words"), ("keep", "positions", "whole"), ("of", "", "whole")]
            + [("share", "kept, of all", "share"), ("by", "the compressor, or the KV method", "words")],
            [[suggestion.pattern, suggestion.keep, suggestion.of, share, suggestion.name]],
        ),
    )


def _needs(suggestion: Any) -> tuple[str, ...]:
    """What the line of code is about, where that is not in it."""
    if "language_model" not in suggestion.line:
        return ()
    return ("# Needs `language_model`, of keepmap.load_language_model(name), and `input_ids`: a text, or its tokens.",)
