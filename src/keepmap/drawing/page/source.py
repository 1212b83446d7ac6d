"""The page's own sources, joined: a shell, one style sheet and one script, and the policy that lets only these run."""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["MOST_BYTES", "filled", "joined_script", "joined_style"]

MOST_BYTES = 120_000
"""All sources together; a test holds them to it."""

_HOME = Path(__file__).parent
_LAST = "main.js"
"""Begins when all else is there."""


def filled(parts: Mapping[str, str]) -> str:
    """The page with these parts: its title, document and arrays, as HTML.

    >>> page = filled({"title": "A &amp; B", "document": "{}", "arrays": ""})
    >>> "<title>A &amp; B</title>" in page, "{{" in page.split("<body>")[0].split("<style>")[0]
    (True, False)
    """
    style, script = joined_style(), joined_script()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src blob: data:; "
        "base-uri 'none'; form-action 'none'"
    )
    values = {**parts, "style": style, "script": script, "policy": policy}
    # In one pass: what a part holds is never filled again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _text(_HOME / "page.html"))


@cache
def joined_style() -> str:
    """Every style sheet, by name."""
    return "\n".join(_text(path) for path in sorted((_HOME / "styles").glob("*.css")))


@cache
def joined_script() -> str:
    """What all views share, the views, and what begins; nothing of it is seen outside of it."""
    shared = sorted(path for path in (_HOME / "scripts").glob("*.js") if path.name != _LAST)
    paths = [*shared, *sorted((_HOME / "views").glob("*.js")), _HOME / "scripts" / _LAST]
    script = "\n".join(_text(path) for path in paths)
    assert "</script" not in script and "<!--" not in script
    return f'(() => {{\n"use strict";\n{script}}})();'


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
