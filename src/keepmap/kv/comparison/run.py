"""One run of a comparison: what it has found so far, what decided it, and its files."""

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from keepmap.core.versions import versions
from keepmap.kv.comparison.files import PACKAGES, SavedKeepMaps, clear_results, write_comparison
from keepmap.kv.comparison.results import Comparison, SampleResult
from keepmap.kv.comparison.rows import ResultKey, build_comparison, complete_samples
from keepmap.kv.comparison.session import Facts, Finished, Job, Passed
from keepmap.kv.comparison.workers import Event, Ready, run_job

__all__ = ["Run", "configuration", "n_results"]


class Run:
    """A job on its devices and what it has found so far, which can be written at any time: after an interrupt too.

    Attributes:
        facts: what loading has shown; None before that.
        results, seconds: by (sample, method), in the order in which they came in.
        passed: those whose pass is done, the result with it or to come: how far the run is.
    """

    def __init__(self, job: Job, devices: Sequence[str]) -> None:
        self.job, self.devices = job, tuple(devices)
        self.facts: Facts | None = None
        self.results: dict[ResultKey, SampleResult] = {}
        self.seconds: dict[ResultKey, float] = {}
        self.passed: set[ResultKey] = set()
        self._ready_at = 0.0
        self._counts: Counter[int] = Counter()

    def events(self) -> Generator[Event, None, None]:
        """Do the job; what an event tells is recorded before it is passed on, and an earlier run's results are gone.

        Raises:
            KeepmapError: as `run_job`, and where the results of an earlier run cannot be removed.
        """
        with closing(run_job(self.job, self.devices)) as events:
            for event in events:
                match event:
                    case Ready(facts):
                        clear_results(self.job.output_dir)
                        self.facts, self._ready_at = facts, time.monotonic()
                    case Passed(sample, method):
                        self.passed.add((sample, method))
                    case Finished(result, seconds):
                        self._counts[result.sample] += (result.sample, result.method) not in self.results
                        self.results[result.sample, result.method] = result
                        self.seconds[result.sample, result.method] = seconds
                yield event

    def complete_samples(self) -> list[int]:
        """The samples that every method is done with."""
        return [] if self.facts is None else complete_samples(self.results, self.facts)

    def begun_samples(self) -> dict[int, list[str]]:
        """The samples that some methods are done with and others not, each with those that are."""
        complete = set(self.complete_samples())
        begun: dict[int, list[str]] = {}
        for sample, method in self.results:
            if sample not in complete:
                begun.setdefault(sample, []).append(method)
        return dict(sorted(begun.items()))

    def is_complete(self, sample: int) -> bool:
        """Whether every method is done with this sample."""
        assert self.facts is not None
        return self._counts[sample] == n_results(self.facts) // self.facts.n_samples

    def seconds_left(self) -> float:
        """How long the rest takes where it goes on as before; needs a pass that is done."""
        assert self.facts is not None
        passed = time.monotonic() - self._ready_at
        return passed / len(self.passed) * (n_results(self.facts) - len(self.passed))

    def seconds_by_method(self) -> dict[str, float]:
        """The time that each method took, over all samples."""
        seconds: dict[str, float] = {}
        for (_, method), taken in self.seconds.items():
            seconds[method] = seconds.get(method, 0.0) + taken
        return seconds

    def comparison(self) -> Comparison | None:
        """Of the samples that every method is done with; None where there is no such sample."""
        if self.facts is None:
            return None
        job = self.job
        decided_by = configuration(
            self.facts,
            model_name=job.model_name,
            data_path=job.data_path,
            text_field=job.text_field,
            max_samples=job.max_samples,
            max_length=job.max_length,
            chunk_size=job.chunk_size,
            kvzap_scorer_model=job.kvzap_scorer_model,
            kvzap_model_type=job.kvzap_model_type,
            seed=job.seed,
        )
        comparison = build_comparison(self.results, self.facts, decided_by)
        if comparison is None:
            return None
        return replace(comparison, keep_maps=SavedKeepMaps(job.output_dir, comparison.methods))

    def write(self, comparison: Comparison) -> tuple[Path, Path]:
        """Write the result files; returns the paths of the detailed results and of the summary.

        Raises:
            OutputError: one cannot be written.
        """
        return write_comparison(comparison, self.seconds, self.devices, self.job.output_dir)


def n_results(facts: Facts) -> int:
    """How many results a whole run has: of every method and both baselines, on every sample."""
    return facts.n_samples * (len(facts.plans) + 2)


def configuration(
    facts: Facts,
    *,
    model_name: str,
    chunk_size: int,
    seed: int,
    max_length: int | None,
    data_path: str | None = None,
    text_field: str | None = None,
    max_samples: int | None = None,
    kvzap_scorer_model: str | None = None,
    kvzap_model_type: str = "auto",
) -> dict[str, Any]:
    """What decides the results, as JSON values; how many processes made them does not, and stands in timings.json."""
    return {
        "model_name": model_name,
        "data_path": data_path,
        "text_field": text_field,
        "max_samples": max_samples,
        "max_length": max_length,
        "num_texts": facts.n_samples,
        "skipped_lines": [text.line for text in facts.skipped],
        "skipped": [str(text) for text in facts.skipped],
        "chat_template": facts.chat_template,
        "methods": [plan.key for plan in facts.plans],
        "left_out": list(facts.left_out),
        "chunk_size": chunk_size,
        "thresholds": {plan.key: _json_number(plan.threshold) for plan in facts.plans},
        "densities": {plan.key: plan.density for plan in facts.plans},
        "n_sink": {plan.key: plan.n_sink for plan in facts.plans},
        "sliding_window_size": {plan.key: plan.window for plan in facts.plans},
        "kvzap_scorer_model": kvzap_scorer_model,
        "kvzap_model_type": kvzap_model_type,
        "seed": seed,
        "dtype": facts.dtype,
        "device": facts.device,
        "versions": versions(*PACKAGES),
    }


def _json_number(value: float | None) -> float | str | None:
    return value if value is None or abs(value) != float("inf") else str(value)
