"""From finished results to the comparison, and to its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from keepmap.core.files import remove_files, write_json
from keepmap.core.keep_map import FORMAT as KEEP_MAP_FORMAT
from keepmap.kv.comparison.plan import BASELINE, validates
from keepmap.kv.comparison.results import Comparison, SampleResult, is_sample_result
from keepmap.kv.comparison.rows import summarise
from keepmap.kv.comparison.session import NO_CHUNKING, Facts, keep_map_path
from keepmap.kv.method import methods

__all__ = [
    "PACKAGES",
    "ResultKey",
    "build_comparison",
    "clear_results",
    "complete_samples",
    "write_comparison",
]

ResultKey = tuple[int, str]
"""(sample, method)."""

LABELS = {NO_CHUNKING: "Baseline (No Chunking)", BASELINE: "Baseline (Chunked)"}
PACKAGES = ("torch", "transformers", "numpy")
"""What takes part in a number, beside keepmap and Python."""
DETAILED, SUMMARY, TIMINGS = "detailed_results.json", "comparison_summary.json", "timings.json"


def complete_samples(results: Mapping[ResultKey, SampleResult], facts: Facts) -> list[int]:
    """The samples that every method is done with."""
    keys = [NO_CHUNKING, BASELINE, *(plan.key for plan in facts.plans)]
    return [sample for sample in range(facts.n_samples) if all((sample, key) in results for key in keys)]


def build_comparison(
    results: Mapping[ResultKey, SampleResult], facts: Facts, configuration: Mapping[str, Any], seed: int
) -> Comparison | None:
    """A row per method over the samples that all of them are done with; None where there is no such sample.

    The order in which results came in does not matter.
    """
    samples = complete_samples(results, facts)
    if not samples:
        return None
    by_method = {
        key: [results[sample, key] for sample in samples]
        for key in (NO_CHUNKING, BASELINE, *(plan.key for plan in facts.plans))
    }
    baseline = by_method[BASELINE]
    rows = [summarise(plan.label, by_method[plan.key], baseline, plan, seed) for plan in facts.plans]
    return Comparison(
        configuration,
        summarise(LABELS[NO_CHUNKING], by_method[NO_CHUNKING], baseline, None, seed),
        summarise(LABELS[BASELINE], baseline, baseline, None, seed),
        tuple(sorted(rows, key=lambda row: row.avg_nll)),
        tuple(result for sample in samples for result in (by_method[key][samples.index(sample)] for key in by_method)),
        len(samples) == facts.n_samples,
        len(samples) if validates(facts.plans) else None,
    )


def clear_results(output_dir: Path) -> None:
    """Remove the results of an earlier run, which would be mistaken for this one's if it were interrupted.

    Beside the three files that a run replaces, only samples and KeepMaps that say of themselves that they are ours.

    Raises:
        OutputError: one cannot be removed.
    """
    samples = [path for path in (output_dir / "samples").glob("sample_*.json") if is_sample_result(path)]
    maps = [keep_map_path(output_dir, method.label) for method in methods().values()]
    remove_files([*(output_dir / name for name in (DETAILED, SUMMARY, TIMINGS)), *samples, *filter(_is_keep_map, maps)])


def _is_keep_map(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return bool((file.metadata() or {}).get("format") == KEEP_MAP_FORMAT)
    except (OSError, SafetensorError):
        return False


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
