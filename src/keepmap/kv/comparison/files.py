"""The files of a comparison: where they are, writing them, and what of them a stopped run has left."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from keepmap.core.files import write_json
from keepmap.core.keep_map import KeepMap
from keepmap.core.runs.index import INDEX
from keepmap.core.runs.records import sync
from keepmap.core.storage.documents import write_document
from keepmap.errors import InputError, OutputError
from keepmap.kv.comparison.kept import counted_kept
from keepmap.kv.comparison.plan import BASELINE, STREAMING, VALIDATION, MethodPlan, validates
from keepmap.kv.comparison.results import (
    Comparison,
    MethodResult,
    SampleResult,
    read_sample_result,
    write_sample_result,
)
from keepmap.kv.comparison.rows import ResultKey, method_keys
from keepmap.kv.comparison.session import NO_CHUNKING, Facts, Finished
from keepmap.kv.token_costs import TokenCosts

__all__ = [
    "DETAILED",
    "FILES",
    "PACKAGES",
    "SavedKeepMaps",
    "SavedTokenCosts",
    "finished_results",
    "keep_map_path",
    "label_stem",
    "result_files",
    "sample_folder",
    "sample_result_path",
    "token_costs_path",
    "write_comparison",
    "write_finished",
]

PACKAGES = ("torch", "transformers", "numpy")
"""What takes part in a number, beside keepmap and Python."""
DETAILED, SUMMARY, TIMINGS = "detailed_results.json", "comparison_summary.json", "timings.json"
FILES = (DETAILED, SUMMARY, TIMINGS, INDEX)
"""What every comparison writes beside the results of single samples."""


def label_stem(label: str) -> str:
    """A method's label as the beginning of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", label)


def keep_map_path(output_dir: Path, label: str) -> Path:
    """Where the KeepMap of a method's first sample is."""
    return output_dir / f"{label_stem(label)}_keepmap.safetensors"


def sample_folder(output_dir: Path) -> Path:
    """Where the results of single samples are."""
    return output_dir / "samples"


def sample_result_path(output_dir: Path, sample: int, method: str) -> Path:
    """Where one method's result on one sample is."""
    return sample_folder(output_dir) / f"sample_{sample:05d}_{method}.json"


def token_costs_path(output_dir: Path, method: str) -> Path:
    """Where the costs of the first sample's tokens under one method are."""
    return output_dir / f"{method}_tokens.safetensors"


def write_finished(output_dir: Path, finished: Finished, plans: Sequence[MethodPlan], run: str) -> None:
    """Write the result of one method on one sample, and of the first sample its KeepMap and its tokens before it.

    Raises:
        OutputError: one cannot be written.
    """
    result = finished.result
    if finished.keep_map is not None and result.sample == 0:
        label = next(plan.label for plan in plans if plan.key == result.method)
        path = keep_map_path(output_dir, label)
        # The folder is the run's: what is damaged there is made again.
        finished.keep_map.save(path, overwrite=True)
        _synced(path)
    if finished.token_costs is not None and result.sample == 0:
        path = token_costs_path(output_dir, result.method)
        finished.token_costs.save(path)
        _synced(path)
    write_sample_result(sample_result_path(output_dir, result.sample, result.method), result, run)


def _synced(path: Path) -> None:
    try:
        sync(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def finished_results(output_dir: Path, facts: Facts, run: str) -> dict[ResultKey, SampleResult]:
    """The results that a run has left in its folder, those of the first sample with their KeepMaps and tokens."""
    results: dict[ResultKey, SampleResult] = {}
    labels = {plan.key: plan.label for plan in facts.plans}
    for sample in range(facts.n_samples):
        for key in method_keys(facts):
            result = read_sample_result(sample_result_path(output_dir, sample, key), run)
            if result is None or (result.sample, result.method) != (sample, key):
                continue
            if sample == 0 and not _is_whole(output_dir, result, labels.get(key)):
                continue
            results[sample, key] = result
        if validates(facts.plans) and not all((sample, key) in results for key in (STREAMING, VALIDATION)):
            # They are checked against each other: both are done again.
            results.pop((sample, STREAMING), None)
            results.pop((sample, VALIDATION), None)
    return results


def _is_whole(output_dir: Path, result: SampleResult, label: str | None) -> bool:
    """Whether what else there is of the first sample can be read; the baselines have no label here, and no KeepMap."""
    try:
        if label is not None and not _is_of(KeepMap.load(keep_map_path(output_dir, label)), result):
            return False
        TokenCosts.load(token_costs_path(output_dir, result.method))
    except InputError:
        return False
    return True


def _is_of(keep_map: KeepMap, result: SampleResult) -> bool:
    """Whether as many entries and tokens are kept as the result says."""
    kept = counted_kept(keep_map)
    return (kept.entries, kept.tokens) == (result.entries, result.tokens)


def result_files(facts: Facts) -> list[str]:
    """The names of the files that a comparison makes beside the results of single samples."""
    keep_maps = [keep_map_path(Path(), plan.label) for plan in facts.plans]
    tokens = [token_costs_path(Path(), key) for key in method_keys(facts)]
    return [*FILES, *(path.as_posix() for path in (*keep_maps, *tokens))]


class SavedKeepMaps(Mapping[str, KeepMap]):
    """The KeepMaps of the first sample by method, each read from its file when it is looked up; those that are there.

    Args:
        samples: the run's results: a map must keep what its method kept of the first one, entries and tokens.

    Raises:
        InputError: at the look-up, a file that is damaged, or of another run.
    """

    def __init__(self, folder: Path, rows: Iterable[MethodResult], samples: Iterable[SampleResult]) -> None:
        self._paths = {row.method_key: keep_map_path(folder, row.method) for row in rows}
        self._results = {each.method: each for each in samples if each.sample == 0}

    def __getitem__(self, method: str) -> KeepMap:
        path = self._paths[method]
        if not path.is_file():
            raise KeyError(method)
        keep_map = KeepMap.load(path)
        result = self._results.get(method)
        if result is not None and not _is_of(keep_map, result):
            raise InputError(
                f"{path} is not of this run: it does not keep as much as {method} kept of the first text; put the "
                "run's own file there, or run the same keepmap compare again"
            )
        return keep_map

    def __iter__(self) -> Iterator[str]:
        return (method for method, path in self._paths.items() if path.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)


class SavedTokenCosts(Mapping[str, TokenCosts]):
    """What the first sample's tokens cost by method, read as `SavedKeepMaps` are; runs of before have none.

    Raises:
        InputError: at the look-up, a file that is damaged.
    """

    def __init__(self, folder: Path, methods: Iterable[str]) -> None:
        self._paths = {key: token_costs_path(folder, key) for key in (NO_CHUNKING, BASELINE, *methods)}

    def __getitem__(self, method: str) -> TokenCosts:
        path = self._paths[method]
        if not path.is_file():
            raise KeyError(method)
        return TokenCosts.load(path)

    def __iter__(self) -> Iterator[str]:
        return (method for method, path in self._paths.items() if path.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def write_comparison(
    comparison: Comparison,
    seconds: Mapping[ResultKey, float],
    devices: tuple[str, ...],
    output_dir: Path,
) -> tuple[Path, Path]:
    """Write the two result files, and the seconds into a third, so that the first two are the same on every run.

    Raises:
        OutputError: one cannot be written.
    """
    detailed, summary = output_dir / DETAILED, output_dir / SUMMARY
    write_document(detailed, comparison.document())
    write_document(summary, comparison.summary())
    keys = dict.fromkeys(result.method for result in comparison.samples)
    timings = {
        method: {str(sample): taken for (sample, key), taken in sorted(seconds.items()) if key == method}
        for method in keys
    }
    write_json(output_dir / TIMINGS, {"processes": list(devices), "seconds_by_method_and_sample": timings})
    return detailed, summary
