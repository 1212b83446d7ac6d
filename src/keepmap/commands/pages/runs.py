"""What a folder of results holds that a page can show: one value, or of attention a profile of every sample."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import keepmap
from keepmap.commands.compare import compare_compression_methods
from keepmap.core.runs.command import repeating
from keepmap.core.runs.folder import read_run_file
from keepmap.core.storage.documents import read_document
from keepmap.drawing import Reportable, ReportedRun
from keepmap.errors import InputError, escaped

__all__ = ["reported_runs"]

ATTENTION = "attention.json"
READERS: Mapping[str, Callable[[Path], Reportable]] = {
    "detailed_results.json": keepmap.read_comparison,
    "evaluation.json": keepmap.read_evaluation,
    "study.json": keepmap.read_study,
    "explained_variance.json": keepmap.read_surrogate,
    "family_study.json": keepmap.read_family_study,
    "generation.json": keepmap.read_generation,
    "task_results.json": keepmap.read_tasks,
}
"""The file that a kind of run ends with, and what reads its folder."""
GIVE = (
    "give what `keepmap compare`, `attention`, `evaluate`, `study`, `generate`, `tasks`, `sweep` or `train-surrogate` "
    "wrote"
)


def reported_runs(folder: Path) -> list[ReportedRun]:
    """What a page shows of a folder of results.

    Raises:
        InputError: none is there, or it is damaged.
    """
    if not folder.exists():
        raise InputError(f"no results at {escaped(str(folder))}: no such folder; {GIVE}")
    if (folder / ATTENTION).is_file():
        return _looked(folder)
    read = next((reader for name, reader in READERS.items() if (folder / name).is_file()), None)
    if folder.is_dir() and read is None:
        raise InputError(
            f"no results in {escaped(str(folder))}: it has none of {', '.join((*READERS, ATTENTION))}; {GIVE}"
        )
    read = read or keepmap.read_comparison
    return [ReportedRun.of_folder(read(folder), folder, _command(folder))]


def _looked(folder: Path) -> list[ReportedRun]:
    """The profile of each sample, in the order of their numbers, and the test by deletion where there was one."""
    command, name = _command(folder), folder.resolve().name
    paths = sorted((folder / "samples").glob("*.safetensors"), key=lambda path: _number(path.stem))
    runs = [
        ReportedRun(
            value=keepmap.AttentionProfile.load(path), name=f"{name}, {path.stem}", folder=str(path), command=command
        )
        for path in paths
    ]
    try:
        document = read_document(folder / ATTENTION)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {folder / ATTENTION}: {error}; run keepmap attention again") from None
    if isinstance(document, dict) and document.get("verification"):
        tested = keepmap.read_verification(folder)
        runs.append(ReportedRun(value=tested, name=f"{name}, by deletion", folder=str(folder), command=command))
    if not runs:
        raise InputError(f"no profile in {folder / 'samples'}; run keepmap attention again")
    return runs


def _number(stem: str) -> tuple[int, str]:
    digits = re.search(r"\d+", stem)
    return (int(digits[0]) if digits else 0, stem)


def _command(folder: Path) -> tuple[str, ...]:
    """The words that make the run again; none where the folder does not say."""
    file = read_run_file(folder) if folder.is_dir() else None
    if file is None:
        return ()
    if file.identity.verb == "compare":
        return repeating("compare", file.identity.options, compare_compression_methods)
    return file.command
