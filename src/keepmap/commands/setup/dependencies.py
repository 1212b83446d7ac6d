"""Which packages keepmap needs, and which of them are missing here. Needs none of them itself."""

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keepmap
from keepmap.errors import InputError

__all__ = ["Dependency", "dependencies", "installed", "repository"]

PROJECT = "pyproject.toml"
PINS = "constraints.txt"


@dataclass(frozen=True)
class Dependency:
    """A package that keepmap needs.

    Attributes:
        least: the oldest version that will do; empty where any will.
        pin: the version that keepmap is tested with; empty where that is not known.
        version: the one that is installed; None where there is none.
    """

    name: str
    least: str
    pin: str
    version: str | None

    @property
    def ready(self) -> bool:
        """Whether it is installed and new enough."""
        return self.version is not None and _release(self.version) >= _release(self.least)

    @property
    def requirement(self) -> str:
        """What to ask an installer for."""
        if self.pin:
            return f"{self.name}=={self.pin}"
        return f"{self.name}>={self.least}" if self.least else self.name


def repository() -> Path | None:
    """The folder that keepmap is run from as a checkout; None where it was installed as a package."""
    root = Path(keepmap.__file__).parents[2]
    return root if (root / PROJECT).is_file() and (root / "src" / "keepmap").is_dir() else None


def dependencies(root: Path | None) -> list[Dependency]:
    """Every declared dependency, torch first, then by name.

    Args:
        root: the checkout, whose pyproject.toml and constraints.txt are read; None for what the installed package says.

    Raises:
        InputError: a file cannot be read.
    """
    if root is None:
        declared, pins = metadata.requires("keepmap") or [], ""
    else:
        declared = tomllib.loads(_text(root / PROJECT))["project"]["dependencies"]
        pins = _text(root / PINS) if (root / PINS).is_file() else ""
    pinned = {_normal(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;#]+)", pins, re.MULTILINE)}
    needed = []
    for text in declared:
        requirement, _, condition = text.partition(";")
        if "extra" in condition:
            continue
        parsed = re.fullmatch(r"\s*([\w.-]+)\s*(?:>=\s*([\w.]+))?\s*", requirement)
        assert parsed and not condition, f"a dependency of a form that is not expected: {text}"
        name, least = parsed[1], parsed[2] or ""
        needed.append(Dependency(name, least, pinned.get(_normal(name), ""), installed(name)))
    return sorted(needed, key=lambda package: (package.name != "torch", package.name.lower()))


def installed(name: str) -> str | None:
    """The version of a package that is installed here; None where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}); get the repository again") from error


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _release(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13), without the zeros at the end that mean nothing."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(number) for number in numbers[0].split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
