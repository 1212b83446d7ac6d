"""One run of a comparison: what it has found so far, what decided it, and its files."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.index import add_to_index, complete_index, read_index
from keepmap.core.versions import versions
from keepmap.kv.budgets import as_json
from keepmap.kv.comparison.files import (
    PACKAGES,
    SavedKeepMaps,
    SavedTokenCosts,
    finished_results,
    result_files,
    sample_result_path,
    write_comparison,
)
from keepmap.kv.comparison.results import Comparison, SampleResult
from keepmap.kv.comparison.rows import ResultKey, build_comparison, complete_samples, method_keys
from keepmap.kv.comparison.session import Facts, Finished, Job, Passed
from keepmap.kv.comparison.spreading import spread_job
from keepmap.kv.comparison.workers import Event, Ready, run_job
from keepmap.kv.modes import Mode

__all__ = ["Files", "Run", "configuration", "n_results", "no_files"]

Files = Callable[[Facts], Sequence[str]]
"""From what loading has shown to the files that are made beside the results: pictures."""


def no_files(facts: Facts) -> Sequence[str]:
    """Of a run that makes none."""
    return ()


class Run:
    """A job on its devices and what it has found so far, which can be written at any time: after an interrupt too.

    Args:
        files: made beside the results.
        executor: whose workers do the job, on the first of the devices, in place of processes of its own.

    Attributes:
        facts: what loading has shown; None before that.
        results, seconds: by (sample, method), in the order in which they came in.
        passed: those whose pass is done, the result with it or to come: how far the run is.
        n_reused: how many results an earlier start has left.
    """

    def __init__(
        self,
        job: Job,
        devices: Sequence[str],
        place: RunFolder,
        files: Files = no_files,
        executor: Executor | None = None,
    ) -> None:
        self.job, self.devices, self.place, self._files = job, tuple(devices), place, files
        self.executor = executor
        self.facts: Facts | None = None
        self.results: dict[ResultKey, SampleResult] = {}
        self.seconds: dict[ResultKey, float] = {}
        self.passed: set[ResultKey] = set()
        self.n_reused = 0
        self._ready_at = 0.0
        self._counts: Counter[int] = Counter()

    def events(self) -> Generator[Event, None, None]:
        """Do what is left of the job; what an event tells is recorded before it is passed on.

        Raises:
            KeepmapError: as `run_job` and `spread_job`, and where the folder is another run's.
        """
        if self.executor is None:
            work = run_job(self.job, self.devices, self._begin)
        else:
            work = spread_job(self.executor, self.job, self.devices[0], self._begin)
        with closing(work) as events:
            for event in events:
                match event:
                    case Ready(facts):
                        self.facts, self._ready_at = facts, time.monotonic()
                    case Passed(sample, method):
                        self.passed.add((sample, method))
                    case Finished(result=result, seconds=seconds):
                        self._counts[result.sample] += (result.sample, result.method) not in self.results
                        self.results[result.sample, result.method] = result
                        self.seconds[result.sample, result.method] = seconds
                        add_to_index(
                            self.job.output_dir, _unit(self.job.output_dir, result.sample, result.method), seconds
                        )
                yield event

    def _begin(self, facts: Facts) -> dict[int, frozenset[str]]:
        """Take the folder, and what an earlier start has left in it."""
        folder = self.job.output_dir
        units = [_unit(folder, sample, key) for sample in range(facts.n_samples) for key in method_keys(facts)]
        self.place.begin(units, [*result_files(facts), *self._files(facts)], **facts.hashes)
        left = finished_results(folder, facts, self.job.run) if self.place.goes_on else {}
        self.results |= left
        complete_index(folder, [_unit(folder, *key) for key in left])
        index = read_index(folder)
        self.seconds |= {key: index[unit] for key in left if (unit := _unit(folder, *key)) in index}
        self.passed |= left.keys()
        self._counts.update(sample for sample, _ in left)
        self.n_reused = len(left)
        return {sample: frozenset(key for of, key in left if of == sample) for sample in range(facts.n_samples)}

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
        passed, n_new = time.monotonic() - self._ready_at, len(self.passed) - self.n_reused
        return passed / max(1, n_new) * (n_results(self.facts) - len(self.passed))

    def seconds_by_method(self) -> dict[str, float]:
        """The time that each method took, over all samples; none of a method where one sample's is not known."""
        seconds: dict[str, float] = {}
        for (_, method), taken in self.seconds.items():
            seconds[method] = seconds.get(method, 0.0) + taken
        unknown = {method for _, method in self.results.keys() - self.seconds.keys()}
        return {method: taken for method, taken in seconds.items() if method not in unknown}

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
            mode=job.mode,
            kvzap_scorer_model=job.kvzap_scorer_model,
            kvzap_model_type=job.kvzap_model_type,
            seed=job.seed,
        )
        comparison = build_comparison(self.results, self.facts, decided_by)
        if comparison is None:
            return None
        return replace(
            comparison,
            keep_maps=SavedKeepMaps(job.output_dir, comparison.methods, comparison.samples),
            token_costs=SavedTokenCosts(job.output_dir, [row.method_key for row in comparison.methods]),
        )

    def write(self, comparison: Comparison) -> tuple[Path, Path]:
        """Write the result files; returns the paths of the detailed results and of the summary.

        Raises:
            OutputError: one cannot be written.
        """
        return write_comparison(comparison, self.seconds, self.devices, self.job.output_dir)


def _unit(folder: Path, sample: int, method: str) -> str:
    """What a result's record is called in the folder of the run."""
    return sample_result_path(folder, sample, method).relative_to(folder).as_posix()


def n_results(facts: Facts) -> int:
    """How many results a whole run has: of every method and both baselines, on every sample."""
    return facts.n_samples * (len(facts.plans) + 2)


def configuration(
    facts: Facts,
    *,
    model_name: str,
    mode: Mode,
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
        "mode": mode.name,
        "chunk_size": mode.chunk_size,
        "interval": mode.interval,
        "context_length": mode.context_length,
        "thresholds": {plan.key: _json_number(plan.threshold) for plan in facts.plans},
        "densities": {plan.key: plan.density for plan in facts.plans},
        "budget_by": {plan.key: as_json(plan.budget_by) for plan in facts.plans if plan.budget_by is not None},
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
