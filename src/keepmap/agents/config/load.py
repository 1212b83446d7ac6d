"""From files and settings to a configuration: included files first, later ones win, settings last."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keepmap.agents.config.keys import check_not_retired, read_value, unknown_key
from keepmap.agents.config.schema import KEYS, Config, own_keys
from keepmap.agents.config.yaml_files import find_file, parse_yaml, read_file
from keepmap.core.arguments import shown
from keepmap.core.joining.options import as_settings, one_line, split_setting
from keepmap.errors import InputError

__all__ = ["DEFAULT", "apply_setting", "as_config_files", "load_config"]

DEFAULT = ("config/env/darkroom.yaml", "config/algorithm/optimistic.yaml", "config/model/ad_dr.yaml")


def load_config(paths: str | Path | Sequence[str | Path] = DEFAULT, settings: str | Sequence[str] = ()) -> Config:
    """The configuration that files and settings ask for; what none of them says has its default.

    Args:
        paths: one YAML file, or several; `config/...` names that are not found are looked up in the package.
        settings: one, or several: `n_transit=10`, `compressor.keep_recent=10` or
            `compressor={name: recency, keep_recent: 10}`.

    Raises:
        InputError: a file that cannot be read, an unknown key or a value that it cannot have, named with where it was
            given.
    """
    values: dict[str, object] = {}
    for path in as_config_files("paths", paths):
        values |= _read(*find_file(path), ())
    for setting in as_settings(settings):
        apply_setting(values, setting)
    return Config.from_dict(values)


def as_config_files(name: str, value: object) -> tuple[str | Path, ...]:
    """The YAML files that the parameter `name` was given: one, or several.

    Raises:
        InputError: it is neither.
    """
    files = (value,) if isinstance(value, str | Path) else value
    if not isinstance(files, Sequence):
        raise InputError(f"expected `{name}` to be YAML files, got {shown(value)}")
    for file in files:
        if not isinstance(file, str | Path):
            raise InputError(f"expected `{name}` to be YAML files, got {shown(file)} among them")
    return tuple(files)


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Write what `name=value` says into `values`; values are YAML, and text needs no quotes.

    Raises:
        InputError: it is not of that form, the key is unknown, or it cannot have that value.
    """
    name, text = split_setting(setting, "n_transit=10")
    written = one_line(setting.strip())
    origin = f"settings={written!r}" if '"' in written else f'settings="{written}"'
    outer, dot, inner = name.partition(".")
    check_not_retired(outer, origin)
    if outer not in KEYS and outer not in own_keys():
        raise unknown_key(outer, {*KEYS, *own_keys()}, origin)
    kind = KEYS.get(outer)
    if not dot:
        value = parse_yaml(text, origin)
        if (kind is None or kind.of is str) and value is not None and not isinstance(value, str):
            value = text
        values[outer] = value if kind is None else read_value(outer, kind, value, origin)
        return
    if kind is None or kind.of is not dict or not inner:
        raise InputError(f"{origin}: {outer} has no parts; write {outer}=value")
    before = values.get(outer)
    values[outer] = {**(before if isinstance(before, Mapping) else {}), inner: parse_yaml(text, origin)}


def _read(path: Path, shown: str, including: tuple[tuple[Path, str], ...]) -> dict[str, object]:
    """The keys of a file and of those that it includes, checked one by one."""
    here = path.resolve()
    chain = (*including, (here, shown))
    content = read_file(path, shown)
    values: dict[str, object] = {}
    for name in _included(content.pop("include", []), shown):
        included, shown_included = find_file(name, beside=path, shown_beside=shown)
        if included.resolve() in [file for file, _ in chain]:
            raise InputError(
                f"{' includes '.join([*(shown_name for _, shown_name in chain), shown_included])}: a circle; break it"
            )
        values |= _read(included, shown_included, chain)
    for name, value in content.items():
        check_not_retired(str(name), shown)
        if name not in KEYS and name not in own_keys():
            raise unknown_key(name, {*KEYS, *own_keys()}, shown)
        values[str(name)] = read_value(name, KEYS[name], value, shown) if name in KEYS else value
    return values


def _included(value: object, shown: str) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{shown}: include must be the name of a file, or a list of names")
    return [str(name) for name in names]
