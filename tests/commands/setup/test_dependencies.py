"""Which packages are declared, which versions will do, and what an installer is asked for."""

from importlib import metadata
from pathlib import Path

import pytest

import keepmap
from keepmap.commands.setup.dependencies import Dependency, dependencies, installed, repository
from keepmap.errors import InputError

REPOSITORY = Path(__file__).parents[3]


def test_the_declared_dependencies():
    declared = dependencies(REPOSITORY)
    assert repository() == REPOSITORY
    assert declared[0].name == "torch" and all(package.ready and package.least is not None for package in declared)
    # With the versions that the constraints pin, whatever the spelling of a name.
    assert all(package.pin for package in declared), [package.name for package in declared if not package.pin]
    assert {"pyyaml", "huggingface_hub", "h5py"} <= {package.name for package in declared}
    # The installed package says which ones as well, with those of extras left out.
    assert "pytest" not in {package.name for package in dependencies(None)}


@pytest.mark.parametrize(
    ("version", "least", "ready"),
    [
        ("2.13.0+cpu", "2.8", True),
        ("2.8", "2.8.0", True),
        ("2.8.0rc1", "2.8", True),
        ("2.7.9", "2.8", False),
        ("10.0", "9", True),
        (None, "", False),
        ("1", "", True),
    ],
)
def test_what_is_new_enough(version: str | None, least: str, ready: bool) -> None:
    assert Dependency("x", least, "", version).ready is ready


@pytest.mark.parametrize(
    ("least", "pin", "requirement"), [("2.8", "2.13.0", "x==2.13.0"), ("2.8", "", "x>=2.8"), ("", "", "x")]
)
def test_what_an_installer_is_asked_for(least: str, pin: str, requirement: str) -> None:
    assert Dependency("x", least, pin, None).requirement == requirement


def test_the_version_of_a_package() -> None:
    assert installed("torch") == metadata.version("torch")
    assert installed("no-package-of-this-name") is None


def test_an_installed_package_has_no_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keepmap, "__file__", str(tmp_path / "site-packages" / "keepmap" / "__init__.py"))
    assert repository() is None


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_checkout_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"^cannot read .*pyproject.toml \(.*\); get the repository again$"):
        dependencies(tmp_path)
