"""Settings of the command line: `n_transit=10`, `compressor.keep_recent=10`, `compressor={name: recency}`."""

from collections.abc import Mapping
from typing import Any

from keepmap.agents.config.keys import read_value, unknown_key
from keepmap.agents.config.retired import check_not_retired
from keepmap.agents.config.schema import KEYS
from keepmap.agents.config.yaml_files import parse_yaml
from keepmap.core.registry import one_line, split_setting
from keepmap.errors import InputError

__all__ = ["apply_setting"]


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Write what `name=value` says into `values`; values are YAML, and text needs no quotes.

    Raises:
        InputError: it is not of that form, the key is unknown, or it cannot have that value.
    """
    name, text = split_setting(setting, "n_transit=10")
    origin = f"--set {one_line(setting.strip())}"
    outer, dot, inner = name.partition(".")
    check_not_retired(outer, origin)
    if outer not in KEYS:
        raise unknown_key(outer, KEYS, origin)
    if not dot:
        value = parse_yaml(text, origin)
        if KEYS[outer].of is str and value is not None and not isinstance(value, str):
            value = text
        values[outer] = read_value(outer, KEYS[outer], value, origin)
        return
    if KEYS[outer].of is not dict or not inner:
        raise InputError(f"{origin}: {outer} has no parts; write {outer}=value")
    before = values.get(outer)
    values[outer] = {**(before if isinstance(before, Mapping) else {}), inner: parse_yaml(text, origin)}
