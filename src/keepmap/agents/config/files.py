"""Finding and reading the files of a configuration."""

from importlib import resources
from pathlib import Path
from typing import Any

from keepmap.agents.config.yaml_files import parse_yaml
from keepmap.errors import InputError, did_you_mean

__all__ = ["find_file", "packaged_names", "read_file"]

PREFIX = "config/"


def find_file(name: str | Path, beside: Path | None = None, shown_beside: str = "") -> tuple[Path, str]:
    """Where a file is, and how to call it: beside the including file, as a path, or (`config/...`) in the package.

    Raises:
        InputError: it is nowhere.
    """
    name = str(name)
    if not name.strip():
        raise InputError("a configuration file with an empty name was given; name one, as config/model/ad_dr.yaml")
    if beside is not None and (near := beside.parent / name).exists():
        return near, (Path(shown_beside).parent / name).as_posix()
    if (path := Path(name)).exists():
        return path, name
    if name.startswith(PREFIX):
        packaged = _package().joinpath(*Path(name.removeprefix(PREFIX)).parts)
        if name in packaged_names():
            return packaged, name
    place = f"{shown_beside} includes {name}" if beside is not None else f"no configuration at {name}"
    raise InputError(f"{place}: no such file, {did_you_mean(name, packaged_names())}")


def packaged_names() -> list[str]:
    """The files that come with keepmap, as `config/env/darkroom.yaml`."""
    root = _package()
    return sorted(PREFIX + path.relative_to(root).as_posix() for path in root.glob("*/*.yaml"))


def read_file(path: Path, shown: str) -> dict[Any, object]:
    """The mapping that a file holds.

    Raises:
        InputError: it is a folder, cannot be read, or is not a mapping in YAML.
    """
    if path.is_dir():
        raise InputError(f"{shown} is a folder; name a YAML file in it")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{shown} is not UTF-8 text; is it a YAML file?") from error
    content = parse_yaml(text, shown)
    if not isinstance(content, dict):
        found = "empty" if content is None else f"a {type(content).__name__}"
        raise InputError(f"{shown} is {found}; it must be a mapping, with lines like n_transit: 160")
    return content


def _package() -> Path:
    return Path(str(resources.files("keepmap.agents.config")))
