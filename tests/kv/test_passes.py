"""The one way from this wing to the code that reaches into a model, with the names that stand there."""

import re
from pathlib import Path

from keepmap.attention.passes import forward
from keepmap.kv import passes

WING = Path(__file__).parents[2] / "src" / "keepmap" / "kv"


def test_there_is_one_way() -> None:
    reach = re.compile(r"keepmap\.attention\.(passes|text)\b")
    assert [path.name for path in WING.rglob("*.py") if reach.search(path.read_text())] == ["passes.py"]


def test_it_leads_to_what_is_there() -> None:
    assert passes.run is forward.run and passes.LayerCall is forward.LayerCall
    assert all(hasattr(passes, name) for name in passes.__all__)
