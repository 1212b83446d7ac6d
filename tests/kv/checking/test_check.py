"""Our own methods pass every check, and one that is broken fails at the line that says what is wrong with it."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from keepmap.commands.check_method import check_method
from keepmap.core.joining.plugins import unload_plugins
from keepmap.errors import InputError
from keepmap.kv.checking import check_behaviour
from keepmap.kv.checking.trials import small_model
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.kv.method import HeldInput, LayerInput, Reviewed, Scored, method_names

COVERS = ("keepmap.kv.checking.trials", "keepmap.commands.check_method", "keepmap.cli.checking")

NAMES = ["causal", "in parts", "budget", "state", "inputs", "numbers", "ties", "memory", "speed"]


@pytest.fixture(autouse=True)
def _plugins_are_taken_back():
    yield
    unload_plugins()


@pytest.mark.parametrize("name", method_names()[1:])
def test_our_own_methods_pass(name: str) -> None:
    checks = check_behaviour(resolve_method(name, small_model()))
    assert [check.name for check in checks] == NAMES
    assert [check.line for check in checks if not check.passed] == []


@dataclasses.dataclass(frozen=True)
class Slow(Scored):
    """What the broken ones break."""

    name, label, needs, density = "slow", "Slow", "position", 0.2

    def score(self, layer: LayerInput) -> torch.Tensor:
        return layer.values.float().norm(dim=-1)


class LooksAhead(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        values = layer.values.float()
        return (values - values.mean(dim=1, keepdim=True)).norm(dim=-1)


class Remembers(Slow):
    longest: list[int] = [0]

    def score(self, layer: LayerInput) -> torch.Tensor:
        self.longest.append(max(self.longest[-1], layer.keys.shape[1]))
        return super().score(layer) * (1 if layer.keys.shape[1] == self.longest[-1] else -1)


class CountsFromZero(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        return (torch.arange(layer.keys.shape[1]) % 7).expand(layer.keys.shape[:2]).double()


class HalfPrecise(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        return 1000 + layer.values.norm(dim=-1)


class Overwrites(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        return layer.values.abs_().float().norm(dim=-1)


class Divides(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        norms = super().score(layer)
        return norms / norms


class Pairwise(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        return (layer.keys.float() @ layer.keys.float().transpose(1, 2)).diagonal(dim1=1, dim2=2)


class Raises(Slow):
    def score(self, layer: LayerInput) -> torch.Tensor:
        return torch.zeros(layer.keys.shape[:2]) if layer.keys.shape[1] > 1 else layer.keys[7]


BROKEN: dict[type[Slow], tuple[str, str]] = {
    LooksAhead: ("causal", "position 2's score changed with a token from 44 on"),
    Remembers: ("state", "decided otherwise after another text"),
    CountsFromZero: ("in parts", "count positions from `layer.first`"),
    HalfPrecise: ("ties", "in bfloat16"),
    Overwrites: ("inputs", "changed its input"),
    Divides: ("numbers", "NaN where 1 position of torch.float32 hold 0 alone"),
    Pairwise: ("memory", "go through it in blocks"),
    Raises: ("numbers", "its code raised IndexError"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_one_fails_at_the_right_line(broken: type[Slow]) -> None:
    name, note = BROKEN[broken]
    failing = {check.name: check.line for check in check_behaviour(broken()) if not check.passed}
    assert name in failing and note in failing[name] and failing[name].startswith(f"FAILS {name}: ")
    others = {Overwrites: {"state", "causal"}, Remembers: {"causal"}, LooksAhead: set(), Raises: set()}
    assert failing.keys() - {name} <= others.get(broken, set()) | ({"in parts"} if broken in others else set())


def test_a_slow_form_has_the_same_scores() -> None:
    class Same(Slow):
        name = "same"

        def score(self, layer: LayerInput) -> torch.Tensor:
            return torch.tensor([[sum(float(x) ** 2 for x in value) ** 0.5 for value in head] for head in layer.values])

    class Other(Reviewed):
        name, label, needs, density = "other", "Other", "held", 0.2

        def score(self, held: HeldInput) -> torch.Tensor:
            return held.values.norm(dim=-1) - (held.positions == 11) * 0.5

    same, other = (check_behaviour(Slow(), reference)[-1] for reference in (Same(), Other()))
    assert same.line == "ok    reference: the scores and decisions of same"
    assert not other.passed and "position 11 of layer 0, KV head 0 scores" in other.note


def test_the_examples_of_contributing_pass() -> None:
    text = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S) if "Novelty" in block)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    for name in ("Novelty", "Watched"):
        assert [check.line for check in check_behaviour(names[name]()) if not check.passed] == []


GOOD = """
from keepmap import Scored

class Good(Scored):
    name, label, needs, density = "{name}", "Good", "position", 0.2

    def score(self, layer):
        return layer.values.float().norm(dim=-1) * {factor}
"""


def test_the_command_prints_a_line_for_each_and_says_which_fail(tmp_path, capsys) -> None:
    good, slow = tmp_path / "good.py", tmp_path / "slow.py"
    good.write_text(GOOD.format(name="good", factor="1"), encoding="utf-8")
    slow.write_text(GOOD.format(name="good_slowly", factor="2"), encoding="utf-8")
    assert len(check_method(good)) == len(NAMES)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"ok    {name}" for name in NAMES]
    with pytest.raises(InputError, match="^the method good fails 1 of 10 checks: reference; the lines above say"):
        check_method(good, slow)
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAILS reference: position 0 of layer 0")
    with pytest.raises(InputError, match="no such file"):
        check_method(tmp_path / "none.py")
    with pytest.raises(InputError, match="expected `file` to be a Python file that defines a method, got none"):
        check_method()
    both = tmp_path / "both.py"
    two = [GOOD.format(name=name, factor="1").replace("Good(", f"{name.title()}(") for name in ("first", "second")]
    both.write_text("".join(two), encoding="utf-8")
    with pytest.raises(InputError, match="expected `file` to define one method, got 2 methods in"):
        check_method(both)
