"""The files of a configuration: finding them, and YAML without surprises.

1.2's numbers and booleans, no key twice, nothing but plain data.
"""

import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from keepmap.core.arguments import as_path
from keepmap.core.storage.places import as_file
from keepmap.errors import InputError, did_you_mean

__all__ = ["find_file", "packaged_names", "parse_yaml", "read_file"]

PREFIX = "config/"


class _Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, where 1e-3 is text, `on` true, 010 eight and 1:30 ninety; this reads 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), [*"-+0123456789"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    [*"-+.0123456789"],
)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    try:
        return int(node.value)  # in base 10: 010 is ten
    except ValueError:  # thousands of digits
        return str(node.value)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key that is not a word", key.start_mark)
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f'the key "{key.value}" a second time', key.start_mark)
        seen.add(key.value)
    return loader.construct_mapping(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def parse_yaml(text: str, shown: str) -> Any:
    """What a YAML text says: None, text, numbers, booleans, lists and mappings.

    Args:
        shown: where it stands, to begin an error with.

    Raises:
        InputError: it is not YAML, or asks for more than plain data; says in which line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" (line {mark.line + 1})" if mark else ""
        raise InputError(f"{shown}{line}: not usable as YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{shown}: not usable as YAML: {problem}") from error


def find_file(name: str | Path, beside: Path | None = None, shown_beside: str = "") -> tuple[Path, str]:
    """Where a file is, and how to call it: beside the including file, as a path, or (`config/...`) in the package.

    Raises:
        InputError: it is nowhere.
    """
    name = str(name)
    if not name.strip():
        raise InputError("a configuration file with an empty name was given; name one, as config/model/ad_dr.yaml")
    if beside is not None and (near := as_path("include", beside.parent / name)).exists():
        return near, (Path(shown_beside).parent / name).as_posix()
    if (path := as_path("config", name)).exists():
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
    """The mapping in a YAML file.

    Raises:
        InputError: it is a folder, cannot be read, or is not a mapping in YAML.
    """
    if path.is_dir():
        raise InputError(f"{shown} is a folder; name a YAML file in it")
    try:
        text = as_file(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{shown} is not UTF-8 text; is it a YAML file?") from error
    content = parse_yaml(text, shown)
    if not isinstance(content, dict):
        kind = "empty" if content is None else f"a {type(content).__name__}"
        raise InputError(f"{shown} is {kind}; it must be a mapping, with lines like n_transit: 160")
    return content


def _package() -> Path:
    return Path(str(resources.files("keepmap.agents.config")))
