"""From files and settings to a configuration: included files first, later ones win, settings last."""

from collections.abc import Sequence
from pathlib import Path

from keepmap.agents.config.files import find_file, read_file
from keepmap.agents.config.keys import read_value, unknown_key
from keepmap.agents.config.retired import check_not_retired
from keepmap.agents.config.schema import KEYS, Config
from keepmap.agents.config.settings import apply_setting
from keepmap.errors import InputError

__all__ = ["DEFAULT", "load_config"]

DEFAULT = ("config/env/darkroom.yaml", "config/algorithm/optimistic.yaml", "config/model/ad_dr.yaml")


def load_config(paths: Sequence[str | Path] = DEFAULT, settings: Sequence[str] = ()) -> Config:
    """The configuration that files and settings ask for; what none of them says has its default.

    Args:
        paths: YAML files; `config/...` names that are not found are looked up in the package.
        settings: `n_transit=10`, `compressor.keep_recent=10` or `compressor={name: recency, keep_recent: 10}`.

    Raises:
        InputError: a file that cannot be read, an unknown key or a value that it cannot have, named with where it was
            given.
    """
    values: dict[str, object] = {}
    for path in paths:
        values |= _read(*find_file(path), ())
    for setting in settings:
        apply_setting(values, setting)
    return Config.from_dict(values)


def _read(path: Path, shown: str, including: tuple[tuple[Path, str], ...]) -> dict[str, object]:
    """The keys of a file and of those that it includes, checked one by one."""
    here = path.resolve()
    chain = (*including, (here, shown))
    content = read_file(path, shown)
    values: dict[str, object] = {}
    for name in _included(content.pop("include", []), shown):
        found, said = find_file(name, beside=path, shown_beside=shown)
        if found.resolve() in [one for one, _ in chain]:
            raise InputError(f"{' includes '.join([*(said for _, said in chain), said])}: a circle; break it")
        values |= _read(found, said, chain)
    for name, value in content.items():
        check_not_retired(str(name), shown)
        if name not in KEYS:
            raise unknown_key(name, KEYS, shown)
        values[name] = read_value(name, KEYS[name], value, shown)
    return values


def _included(value: object, shown: str) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{shown}: include must be the name of a file, or a list of names")
    return [str(name) for name in names]
