"""The values that a comparison gives: one per method and sample, one per method, one for the whole of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keepmap.core.densities import KeptCounts
from keepmap.core.keep_map import KeepMap
from keepmap.core.labels import model_label
from keepmap.core.outside.reporting import framed, write_page
from keepmap.core.result_table import ResultTable
from keepmap.core.runs.records import read_record, write_record
from keepmap.core.statistics.verdicts import Verdicts, paired_verdicts
from keepmap.core.storage.fields import as_record
from keepmap.errors import ImpossibleResultError, InputError, escaped
from keepmap.kv.modes import context_words
from keepmap.kv.token_costs import TokenCosts

__all__ = [
    "Comparison",
    "MethodResult",
    "SampleResult",
    "holds_alike",
    "read_sample_result",
    "write_sample_result",
]

FORMAT = "keepmap-sample/2"
ALIKE = 0.1
"""What holds more than that much more than another, relatively, cannot be ranked beside it."""
MARGIN = 0.01
"""Nats per token within which methods are called equal, unless another margin is given: 1 % of the perplexity."""

COLUMNS = (
    "method",
    "avg_nll",
    "nll_delta",
    "nll_delta_low",
    "nll_delta_high",
    "perplexity",
    "density_overall",
    "density_compressible",
    "footprint",
    "kl",
    "top1_agreement",
)


@dataclass(frozen=True, kw_only=True)
class SampleResult:
    """What one method did to one sample.

    Attributes:
        method: its key. sample, line: which sample, and the line of the data file that it is.
        n_tokens: N. n_predicted: what the sums go over, N - 1, or in mode "once" the tokens after the context.
        nll, kl: sums in nats, KL of the full cache's predictions to these. n_agreed: equal likeliest tokens.
        entries: over (layer, KV head, position). tokens: over positions, as `token_statistics` counts. Both after the
            last step.
        footprint: mean cache size over the steps / the same without eviction.
    """

    method: str
    sample: int
    line: int
    n_tokens: int
    n_predicted: int
    nll: float
    kl: float
    n_agreed: int
    entries: KeptCounts
    tokens: KeptCounts
    footprint: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nll) and math.isfinite(self.kl) and 0.0 <= self.footprint <= 1.0):
            raise ImpossibleResultError(
                f"{self.method} on sample {self.sample} gave NLL {self.nll}, KL {self.kl}, footprint {self.footprint}"
            )


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """One method over all samples: a row of the table, with the keys of `comparison_summary.json`.

    Attributes:
        nll_delta, ppl_delta: against Baseline (Chunked); `_pct` in per cent of it.
        nll_delta_low, nll_delta_high: paired 95 % interval over samples; None for fewer than three.
        density_overall, density_compressible, footprint: of cache entries; token_density...: of tokens. In [0, 1].
        kl: mean nats per token. top1_agreement: share of tokens.
        threshold, density: what decided. A threshold of ±inf is written as a string.
    """

    method: str
    method_key: str
    perplexity: float
    avg_nll: float
    nll_delta: float
    nll_delta_pct: float
    nll_delta_low: float | None
    nll_delta_high: float | None
    n_samples: int
    total_tokens: int
    ppl_delta: float
    ppl_delta_pct: float
    density_overall: float
    density_compressible: float
    token_density_overall: float
    token_density_compressible: float
    footprint: float
    kl: float
    top1_agreement: float
    threshold: float | str | None
    density: float | None
    n_sink: int | None
    window: int | None

    def __post_init__(self) -> None:
        for name in (
            "density_overall",
            "density_compressible",
            "token_density_overall",
            "token_density_compressible",
            "footprint",
            "top1_agreement",
        ):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ImpossibleResultError(f"the {name} of {self.method} is {value}; it must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(ResultTable, Mapping[str, Any]):
    """A finished (or interrupted) comparison. As a mapping, it is what `detailed_results.json` holds.

    Attributes:
        configuration: options, versions and seeds (JSON values).
        baseline_no_chunking, baseline: the model's own forward pass, and the evicting attention without eviction.
        methods: from the lowest NLL to the highest where they can be ranked (see `rankable`), else as they ran.
        samples: every result the rows were made of, by sample and then in the order the methods ran.
        complete: whether all methods ran on all samples.
        validated: on how many samples StreamingLLM was checked to equal Random(threshold=1.0); None if not both ran.
        keep_maps: what each method kept of the first sample, by its key, to be drawn; no part of the document. Those of
            a comparison that was written are read from its folder when they are looked up.
        token_costs: what its tokens cost, by the keys of all rows, in the same way.

    >>> import keepmap
    >>> comparison = keepmap.compare("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
    >>> list(comparison.rows[-1])[:3], comparison.keep_maps["streaming_llm"].shape[:2]
    (['method', 'method_key', 'perplexity'], (2, 4))
    """

    configuration: Mapping[str, Any]
    baseline_no_chunking: MethodResult
    baseline: MethodResult
    methods: tuple[MethodResult, ...]
    samples: tuple[SampleResult, ...]
    complete: bool
    validated: int | None
    keep_maps: Mapping[str, KeepMap] = field(default_factory=dict, compare=False)
    token_costs: Mapping[str, TokenCosts] = field(default_factory=dict, compare=False)

    @property
    def rankable(self) -> bool:
        """Whether the methods hold about as much, so that NLL ranks them: see `holds_alike`."""
        return holds_alike(self.methods)

    @property
    def context(self) -> str | None:
        """What of each text was read before the one cut of mode "once", in words; None in the other modes."""
        if self.configuration.get("mode") != "once":
            return None
        return escaped(context_words(self.configuration.get("context_length")))

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per method, both baselines first, then as `methods` has them."""
        return [asdict(row) for row in (self.baseline_no_chunking, self.baseline, *self.methods)]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table: costs, densities and agreement."""
        return COLUMNS

    @property
    def caption(self) -> str:
        """The model, the samples, and what the costs are against."""
        after = "" if self.context is None else f" after {self.context}"
        n, name = self.baseline.n_samples, model_label(self.configuration.get("model_name", "the model"))
        return (
            f"{name if name.isprintable() else ascii(name)}: {n} sample{'s' * (n > 1)}, "
            f"{self.baseline.total_tokens:,} predicted tokens{after}; costs against {self.baseline.method}"
            f"{'' if self.rankable else '; not ranked, since the methods hold different shares'}"
        )

    def verdicts(self, margin: float = MARGIN) -> Verdicts:
        """Which methods beat which in NLL per token, which are equal within a margin, and of which neither can be told.

        Paired over samples, which are weighted by their tokens, as the intervals are. Where methods hold different
        shares (see `rankable`), the one that holds more has it easier.

        >>> import keepmap
        >>> texts = [f"The code of river is {n}. " * 9 for n in (4821, 317, 55)]
        >>> keepmap.compare("tiny", texts, "h2o, key_norm", window=16, density=0.2).verdicts(margin=0.5).pairs[0].n
        3

        Args:
            margin: a difference in nats per token that does not count.

        Raises:
            InputError: fewer than two methods, or a margin that is no number above 0.
        """
        if len(self.methods) < 2:
            raise InputError(f"expected two or more methods to compare, got {len(self.methods)}; name others")
        labels = [row.method for row in self.methods]
        names = {
            row.method_key: row.method if labels.count(row.method) == 1 else row.method_key for row in self.methods
        }
        by_method = {key: [sample for sample in self.samples if sample.method == key] for key in names}
        return paired_verdicts(
            {names[key]: [sample.nll / sample.n_predicted for sample in by_method[key]] for key in names},
            better="lower",
            margin=margin,
            weights=[float(sample.n_predicted) for sample in next(iter(by_method.values()))],
            unit="nats per token",
        )

    def __repr__(self) -> str:
        if not self.rankable:
            densities = [row.density_overall for row in self.methods]
            answer = (
                f"{len(self.methods)} methods that cannot be ranked by NLL: they hold {min(densities):.2%} to "
                f"{max(densities):.2%}"
            )
        elif self.methods:
            best = self.methods[0]
            answer = (
                f"{best.method} costs least: {best.nll_delta:+.4f} nats of NLL per token at density "
                f"{best.density_overall:.2%}, of {len(self.methods)} method{'s' * (len(self.methods) > 1)}"
            )
            if len(self.methods) > 1 and best.n_samples == 1:
                answer += "; one text cannot tell which is best"
        else:
            answer = f"no method beside the baseline, whose NLL is {self.baseline.avg_nll:.4f} per token"
        unfinished = "" if self.complete else "; it was stopped before its end"
        return escaped(f"Comparison: {answer}\n  {self.caption}{unfinished}")

    def document(self) -> dict[str, Any]:
        """The whole comparison as JSON values."""
        rows = (self.baseline_no_chunking, self.baseline, *self.methods)
        return {
            "complete": self.complete,
            "configuration": dict(self.configuration),
            "baseline": asdict(self.baseline),
            "methods": {
                row.method_key: asdict(row)
                | {"samples": [asdict(sample) for sample in self.samples if sample.method == row.method_key]}
                for row in rows
            },
            "comparison": [asdict(row) for row in self.methods],
            "validation": {"streaming_llm_equals_random_validation_on_samples": self.validated},
        }

    def summary(self) -> dict[str, Any]:
        """The rows without the samples, as JSON values: what `comparison_summary.json` holds."""
        return {
            "complete": self.complete,
            "baseline_no_chunking_nll": self.baseline_no_chunking.avg_nll,
            "baseline_no_chunking_perplexity": self.baseline_no_chunking.perplexity,
            "baseline_nll": self.baseline.avg_nll,
            "baseline_perplexity": self.baseline.perplexity,
            "comparisons": [asdict(row) for row in self.methods],
            "configuration": dict(self.configuration),
        }

    def report(
        self,
        path: str | Path,
        *,
        redact_text: bool = False,
        spans: str | Path | Sequence[Mapping[str, Any]] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write one HTML file that shows it all offline: docs/report.md says what. Another report there is replaced.

        >>> import keepmap, tempfile
        >>> comparison = keepmap.compare("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     comparison.report(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            redact_text: whether each token of the text is replaced by its kind.
            spans: a JSON file of stretches of the text that have names, or a list of what it holds.
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            InputError: spans that cannot be read.
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        return write_page(self, path, redact_text=redact_text, spans=spans, overwrite=overwrite)

    def _repr_html_(self) -> str:
        return framed(self, super()._repr_html_())

    def __getitem__(self, key: str) -> Any:
        return self.document()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.document())

    def __len__(self) -> int:
        return len(self.document())


def holds_alike(rows: Sequence[MethodResult]) -> bool:
    """Whether densities (of all and of the compressible entries) and footprints differ by a tenth at most."""
    return all(
        max(held) <= (1 + ALIKE) * min(held)
        for held in zip(*((row.density_overall, row.density_compressible, row.footprint) for row in rows), strict=True)
    )


def write_sample_result(path: Path, result: SampleResult, run: str) -> None:
    """Write one result as a record of a run: it is on the disk whole, or it is not there.

    Raises:
        OutputError: the path cannot be written.
    """
    write_record(path, run, {"format": FORMAT, **asdict(result)})


def read_sample_result(path: Path, run: str | None = None) -> SampleResult | None:
    """Read what `write_sample_result` wrote, to the last bit.

    Returns:
        The result; None where there is none, or one that is damaged or, with `run`, of another run.
    """
    fields = read_record(path, run)
    if fields is None or fields.pop("format", None) != FORMAT:
        return None
    try:
        return as_record(SampleResult, fields)
    except (KeyError, TypeError, ValueError, ImpossibleResultError):
        return None
