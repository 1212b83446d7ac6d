"""`keepmap methods`: a line for every method."""

import pytest

from keepmap.cli import main
from keepmap.commands.methods import show_methods
from keepmap.kv.method import methods


def test_every_method_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_methods()
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert [name for name in methods() if not any(line.startswith(f"{name} ") for line in lines)] == []
    assert main(["methods"]) == 0
    assert capsys.readouterr().out == shown
