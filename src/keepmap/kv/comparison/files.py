"""The files of a comparison: where they are, writing them, reading them again, clearing an earlier run's."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from keepmap.core.files import remove_files, write_json
from keepmap.core.keep_map import FORMAT as KEEP_MAP_FORMAT
from keepmap.core.keep_map import KeepMap
from keepmap.core.storage.tensors import is_record
from keepmap.kv.comparison.plan import MethodPlan
from keepmap.kv.comparison.results import (
    Comparison,
    MethodResult,
    is_sample_result,
    write_sample_result,
)
from keepmap.kv.comparison.rows import ResultKey
from keepmap.kv.comparison.session import Finished
from keepmap.kv.method import methods

__all__ = [
    "DETAILED",
    "PACKAGES",
    "SavedKeepMaps",
    "clear_results",
    "keep_map_path",
    "label_stem",
    "sample_folder",
    "sample_result_path",
    "write_comparison",
    "write_finished",
]

PACKAGES = ("torch", "transformers", "numpy")
"""What takes part in a number, beside keepmap and Python."""
DETAILED, SUMMARY, TIMINGS = "detailed_results.json", "comparison_summary.json", "timings.json"


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


def write_finished(output_dir: Path, finished: Finished, plans: Sequence[MethodPlan]) -> None:
    """Write the result of one method on one sample, and of the first sample the KeepMap too.

    Raises:
        OutputError: one cannot be written.
    """
    result = finished.result
    write_sample_result(sample_result_path(output_dir, result.sample, result.method), result)
    if finished.keep_map is not None and result.sample == 0:
        label = next(plan.label for plan in plans if plan.key == result.method)
        finished.keep_map.save(keep_map_path(output_dir, label))


class SavedKeepMaps(Mapping[str, KeepMap]):
    """The KeepMaps of the first sample by method, each read from its file when it is looked up; those that are there.

    Raises:
        InputError: at the look-up, a file that is damaged.
    """

    def __init__(self, folder: Path, rows: Iterable[MethodResult]) -> None:
        self._paths = {row.method_key: keep_map_path(folder, row.method) for row in rows}

    def __getitem__(self, method: str) -> KeepMap:
        return KeepMap.load(self._paths[method])

    def __iter__(self) -> Iterator[str]:
        return (method for method, path in self._paths.items() if path.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def clear_results(output_dir: Path) -> None:
    """Remove the results of an earlier run, which would be mistaken for this one's if it were interrupted.

    Beside the three files that a run replaces, only samples and KeepMaps that say of themselves that they are ours.

    Raises:
        OutputError: one cannot be removed.
    """
    samples = [path for path in sample_folder(output_dir).glob("sample_*.json") if is_sample_result(path)]
    maps = [keep_map_path(output_dir, method.label) for method in methods().values()]
    maps = [path for path in maps if is_record(path, KEEP_MAP_FORMAT)]
    remove_files([*(output_dir / name for name in (DETAILED, SUMMARY, TIMINGS)), *samples, *maps])


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
    write_json(detailed, comparison.document())
    write_json(summary, comparison.summary())
    keys = dict.fromkeys(result.method for result in comparison.samples)
    timings = {
        method: {str(sample): taken for (sample, key), taken in sorted(seconds.items()) if key == method}
        for method in keys
    }
    write_json(output_dir / TIMINGS, {"processes": list(devices), "seconds_by_method_and_sample": timings})
    return detailed, summary
