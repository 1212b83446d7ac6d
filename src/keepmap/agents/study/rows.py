"""From the runs of a study to its rows: one for each compressor, budget and way of training, beside its baseline."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from keepmap.agents.evaluation.returns import SOLVED, Estimate
from keepmap.agents.study.results import BASELINE, StudyRow, StudyRun
from keepmap.core.intervals import NOT_NEGATIVE, mean_intervals, ratio_interval

__all__ = ["rows_of"]


def rows_of(runs: Sequence[StudyRun], looking: Sequence[str]) -> tuple[StudyRow, ...]:
    """A row for each compressor, budget, and way of training, the baselines first.

    Runs are compared with the baseline that was trained as they were, from the same seed. Rows that were not trained
    have the seeds of the agents that there are.

    Args:
        looking: compressors that need attention.
    """
    keys = dict.fromkeys((run.compressor, run.percent, run.trained) for run in runs)
    grouped = {key: [run for run in runs if (run.compressor, run.percent, run.trained) == key] for key in keys}
    baselines = {(run.trained, run.seed): run for run in runs if run.compressor == BASELINE}
    order = sorted(grouped, key=lambda key: (not key[2], key[0] != BASELINE, key[0], key[1]))
    return tuple(_row(grouped[key], baselines, looking) for key in order)


def _row(runs: Sequence[StudyRun], baselines: Mapping[tuple[bool, int], StudyRun], looking: Sequence[str]) -> StudyRow:
    first = runs[0]
    references = [baselines[run.trained, run.seed] for run in runs]
    early, before = np.stack([run.early for run in runs]), np.stack([run.early for run in references])
    optimum = np.array(first.optimum)
    base = references[0]
    assert base.again_flops is not None
    flops = _mean(run.flops for run in runs)
    looks = first.compressor in (BASELINE, *looking)
    # A look at the window is a part of `flops`, at the price that it has with a cache: the baseline's.
    again = flops + base.again_flops - base.flops if looks else flops
    return StudyRow(
        compressor=first.compressor,
        percent=first.percent,
        length=first.length,
        trained=first.trained,
        n_seeds=len(runs),
        early=_estimate(early),
        whole=_estimate(np.stack([run.returns.mean((1, 2)) for run in runs])),
        share=_share(early, before),
        solved=float((early >= SOLVED * optimum).mean()),
        kept=_mean(run.kept for run in runs),
        most_kept=max(run.most_kept for run in runs),
        ratio=_mean(run.kept for run in runs) / max(_mean(run.length_mean for run in runs), 1e-9),
        flops=flops,
        again_flops=again,
        bytes=max(run.bytes for run in runs),
        saved_bytes=1 - max(run.bytes for run in runs) / base.bytes,
        saved_flops=1 - again / base.again_flops,
        saved_cached_flops=1 - flops / base.flops,
        distance=_estimate(np.array([run.distance for run in runs])),
        entropy=_number(np.array([run.entropy for run in runs])),
        baseline_entropy=_number(np.array([run.baseline_entropy for run in runs])),
    )


def _estimate(values: Float[np.ndarray, "S G"]) -> Estimate:
    low, high = mean_intervals(values[:, :, None], NOT_NEGATIVE)  # returns, and distances
    if low is None or high is None:
        return Estimate(float(values.mean()), None, None, values.shape[1])
    return Estimate(float(values.mean()), float(low[0]), float(high[0]), values.shape[1])


def _share(values: Float[np.ndarray, "S G"], before: Float[np.ndarray, "S G"]) -> Estimate | None:
    if before.sum() <= 0:
        return None
    low, high = ratio_interval(values, before, NOT_NEGATIVE)
    return Estimate(float(values.sum() / before.sum()), low, high, values.shape[1])


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _number(values: Float[np.ndarray, "S G"]) -> float | None:
    mean = float(values.mean())
    return mean if math.isfinite(mean) else None
