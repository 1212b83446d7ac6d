"""The examples in the docstrings of the figures and of their parts, run as a user would."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import keepmap.draw
import keepmap.drawing


def public_functions() -> list[str]:
    """Every function that a module of the figures offers, as `module:name`."""
    modules = [module.name for module in pkgutil.walk_packages(keepmap.drawing.__path__, "keepmap.drawing.")]
    return [
        f"{name}:{function}"
        for name in modules
        for function in getattr(importlib.import_module(name), "__all__", ())
        if inspect.isfunction(getattr(importlib.import_module(name), function))
    ]


def examples_of(function: str) -> doctest.DocTest:
    module, name = function.split(":")
    home = importlib.import_module(module)
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(home, name), name, globs={**vars(home)})
    return test


@pytest.mark.parametrize("function", [name for name in public_functions() if examples_of(name).examples])
def test_examples_run(function: str) -> None:
    result = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(examples_of(function))
    assert result.failed == 0 and result.attempted > 0


@pytest.mark.parametrize("name", dir(keepmap.draw))
def test_every_figure_has_an_example_and_says_what_it_takes_returns_and_refuses(name: str) -> None:
    figure = getattr(keepmap.draw, name)
    text = inspect.getdoc(figure)
    assert text is not None
    assert text.splitlines()[0].endswith(".") and not text.splitlines()[1]
    assert all(part in text for part in ("\nArgs:\n", "\nReturns:\n", "\nRaises:\n", "\n>>> "))
    parameters = inspect.signature(figure).parameters
    assert [parameter for parameter in parameters if f" {parameter}" not in text.split("\nArgs:\n")[1]] == []
