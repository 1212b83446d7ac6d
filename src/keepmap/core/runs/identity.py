"""What makes a run the same run: its options, the versions and the data and weights that decide its results."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Identity"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What decides the results of a run; of two runs with the same one, either may go on where the other stopped.

    Attributes:
        verb: of the command line.
        options: parameter -> value, as JSON has it. Where results go and how many processes make them is none.
        versions: package -> version.
        hashes: what is read ("data", "model") -> a hash of its content.

    >>> run = Identity(verb="compare", options={"density": 0.2}, versions={"keepmap": "1"}, hashes={"data": "ab"})
    >>> run.difference_to(Identity(verb="compare", options={"density": 0.5}, versions={"keepmap": "1"}, hashes={}))
    '`density` is 0.2 there and 0.5 here'
    >>> run.difference_to(run.with_hashes(model="cd")) is None
    True
    """

    verb: str
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]

    def with_hashes(self, **hashes: str) -> "Identity":
        """The same run, of which more is known."""
        return replace(self, hashes={**self.hashes, **hashes})

    def digest(self) -> str:
        """16 hexadecimal digits that stand for it in records."""
        text = json.dumps(self.document(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference_to(self, other: "Identity") -> str | None:
        """The first thing in which another run differs, in words; None for the same run.

        Hashes that one of them does not know yet are not compared.
        """
        if self.verb != other.verb:
            return f"it is of `keepmap {self.verb}`"
        mine, others = _plain(self.options), _plain(other.options)
        for name in [*others, *mine]:
            if mine.get(name) != others.get(name):
                return f"`{name}` is {_shown(mine.get(name))} there and {_shown(others.get(name))} here"
        for name in [*other.versions, *self.versions]:
            if self.versions.get(name) != other.versions.get(name):
                there, here = self.versions.get(name, "none"), other.versions.get(name, "none")
                return f"{name} was {_shown(there)} there and is {_shown(here)} here"
        for name, value in other.hashes.items():
            if self.hashes.get(name, value) != value:
                return f"the {name} has changed"
        return None

    def document(self) -> dict[str, Any]:
        """It as JSON values."""
        return {
            "verb": self.verb,
            "options": dict(self.options),
            "versions": dict(self.versions),
            "hashes": dict(self.hashes),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Identity":
        """From what `document` gave.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        parts = {name: document[name] for name in ("options", "versions", "hashes")}
        if not isinstance(document["verb"], str) or not all(isinstance(part, dict) for part in parts.values()):
            raise ValueError("its parts have other types")
        return cls(verb=document["verb"], **parts)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """As a file has them: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(options)))
    return plain


def _shown(value: Any) -> str:
    """A value of a file in a message: short, and without control characters."""
    if value is None:
        return "not given"
    text = json.dumps(value) if not isinstance(value, str) else json.dumps(value).strip('"')
    return text if len(text) <= 60 else f"{text[:57]}..."
