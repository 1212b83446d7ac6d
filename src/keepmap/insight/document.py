"""Insight as JSON values, and back: what `attention.json` holds of verdicts, suggestions and a verification."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_path
from keepmap.core.files import plain
from keepmap.core.storage.documents import read_document
from keepmap.core.storage.fields import as_record, typed
from keepmap.errors import InputError
from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.subject import Subject
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.text_subject import TextSubject
from keepmap.insight.verification import Compared, Difference, Rival, Trial, Verification, as_rule

__all__ = ["FILE", "as_document", "read_verification", "verification_of"]

FILE = "attention.json"
"""What `keepmap attention` writes into its folder, and where a verification is in it."""


def as_document(value: object) -> Any:
    """As JSON has it: no NaN, no infinity, no tuples; a record by its fields, a suggestion by what it says."""
    if isinstance(value, Suggestion):
        value = value.document()
    elif is_dataclass(value) and not isinstance(value, type):
        value = {part.name: getattr(value, part.name) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_document(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_document(part) for part in value]
    return plain(value)


def read_verification(path: str | Path) -> Verification:
    """The verification in the `attention.json` that `keepmap attention --verify` wrote, of this version or before.

    >>> import json, keepmap, tempfile
    >>> verification = keepmap.verify("tiny", "The code of river is 4821. " * 9, layers=[0], draws=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "attention.json"
    ...     _ = path.write_text(json.dumps({"verification": as_document(verification)}))
    ...     read_verification(folder).n_samples
    1

    Args:
        path: of the file, or of the folder that it is in.

    Raises:
        InputError: no such file, or it holds no verification.
    """
    file = as_path("path", path)
    file = file / FILE if file.is_dir() else file
    if not file.is_file():
        raise InputError(f"no verification at {file}: no such file; keepmap attention writes one with `verify`")
    try:
        return verification_of(read_document(file)["verification"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise InputError(f"{file} holds no verification, or is damaged; run keepmap attention with `verify`") from None


def verification_of(values: Mapping[str, Any]) -> Verification:
    """The verification that `as_document` gave as these values.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: it is none.
    """
    costs, skipped = (tuple(typed(text, str, name) for text in values[name]) for name in ("costs", "skipped"))
    host = typed(values["host"], str, "host")
    return Verification(
        host=host,
        costs=costs,
        trials=tuple(_trial(trial, costs) for trial in values["trials"]),
        skipped=skipped,
        suggestion=_suggestion(values["suggestion"], host),
        compared=tuple(_compared(comparison, host) for comparison in values["compared"]),
        **{name: typed(values[name], int, name) for name in ("n_samples", "n_draws", "seed")},
    )


def _trial(values: Mapping[str, Any], costs: Sequence[str]) -> Trial:
    trial = as_record(Trial, {**values, "rule": as_rule(values["rule"])})
    if trial.kept < 0 or trial.of < 1 or not trial.cost.keys() == trial.random.keys() == set(costs):
        raise ValueError("a trial's numbers are not those of one")
    return trial


def _compared(values: Mapping[str, Any], host: str) -> Compared:
    # Files of earlier versions call the suggestion "made".
    suggestion = _suggestion(values["suggestion"] if "suggestion" in values else values["made"], host)
    kept = {name: value for name, value in values.items() if name not in ("made", "suggestion", "lost", "rival")}
    record = kept | {"rule": as_rule(values["rule"]), "suggestion": suggestion, "lost": None, "rival": None}
    # Files of earlier versions have neither of the last two.
    if values.get("lost") is not None:
        record["lost"] = as_record(Difference, values["lost"])
    if values.get("rival") is not None:
        rival = values["rival"]
        record["rival"] = as_record(Rival, {**rival, "better": as_record(Difference, rival["better"])})
    return as_record(Compared, record)


def _suggestion(values: Mapping[str, Any], host: str) -> Suggestion:
    """The suggestion of these values; its pattern and numbers say the rest, which must agree."""
    subject: Subject = AgentSubject() if host == AgentSubject.host else TextSubject(values["options"]["n_sink"])
    suggestion = subject.suggestion(values["pattern"], values["keep"], values["of"])
    if suggestion.document() != values:
        raise ValueError("a suggestion's parts do not agree")
    return suggestion
