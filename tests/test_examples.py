"""Every public function has an example, and every example of the package runs as it stands."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import keepmap

VALUES = (
    *(
        "Agent",
        "AttentionProfile",
        "Comparison",
        "Compressor",
        "Context",
        "Damage",
        "Evaluation",
        "Eviction",
        "Generation",
        "HeldInput",
    ),
    *("Histories", "History", "KeepMap", "LanguageModel", "LayerInput", "Received", "Reviewed", "Scored", "Source"),
    "Study",
    *("RunRecords", "Suggestion", "Verification"),
    *(f"{name}Compressor" for name in ("Adaptive", "AttentionBased", "ExponentialDecay", "Random", "Recency")),
    *(f"{name}Compressor" for name in ("RewardAware", "Threshold", "Uniform")),
)
METHODS = (
    *("AttentionProfile.load", "AttentionProfile.map", "AttentionProfile.mass", "AttentionProfile.save"),
    *("Agent.play", "Comparison.report", "Eviction.damage", "Eviction.nll"),
    *(f"{name}.report" for name in ("AttentionProfile", "Context", "Evaluation", "Eviction", "Generation", "Study")),
    *("KeepMap.chance_overlap", "KeepMap.compressible_density"),
    *("KeepMap.density", "KeepMap.footprint", "KeepMap.kept", "KeepMap.load", "KeepMap.overlap", "KeepMap.save"),
)


def public_functions() -> list[str]:
    """The functions of the front door, and the figures."""
    names = [name for name in keepmap.__all__ if inspect.isfunction(getattr(keepmap, name))]
    return [*names, *(f"draw.{name}" for name in dir(keepmap.draw))]


def modules_with_examples() -> list[str]:
    """Modules whose source has an example; drawing has its own test of them."""
    names = [info.name for info in pkgutil.walk_packages(keepmap.__path__, "keepmap.")]
    return [
        name
        for name in names
        if not name.startswith(("keepmap.drawing", "keepmap.recipes")) and not name.endswith("__main__")
        if ">>>" in inspect.getsource(importlib.import_module(name))
    ]


@pytest.mark.parametrize("name", public_functions())
def test_a_public_function_has_an_example(name: str) -> None:
    function = keepmap
    for part in name.split("."):
        function = getattr(function, part)
    assert ">>> " in (inspect.getdoc(function) or ""), f"keepmap.{name} shows no example"


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_a_value_has_an_example(name: str) -> None:
    owner, method = name.split(".")
    assert ">>> " in (inspect.getdoc(getattr(getattr(keepmap, owner), method)) or ""), f"{name} shows no example"


@pytest.mark.parametrize("name", VALUES)
def test_a_value_type_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(keepmap, name)) or ""), f"keepmap.{name} shows no example"


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert done.attempted
    assert done.failed == 0
