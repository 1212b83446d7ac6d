"""Runs of a study as values, and the study of them."""

import math

import numpy as np

from keepmap.agents.study.promises import pattern_of, promises_of
from keepmap.agents.study.results import BASELINE, Study, StudyRun
from keepmap.agents.study.rows import rows_of


def run(
    compressor: str = BASELINE,
    percent: float = 0.0,
    seed: int = 0,
    trained: bool = True,
    late: tuple[float, ...] = (10.0, 20.0, 15.0),
    flops: float = 100.0,
    bytes: int = 1000,
) -> StudyRun:
    """Returns of 5 in the first 20 episodes, and as given from there on."""
    returns = np.full((3, 2, 40), 5.0)
    returns[:, :, 20:] = np.array(late)[:, None, None]
    return StudyRun(
        compressor=compressor,
        percent=percent,
        length=round(100 * (1 - percent / 100)),
        seed=seed,
        trained=trained,
        optimum=(20.0, 20.0, 16.0),
        returns=returns,
        kept=50.0 * (1 - percent / 100),
        most_kept=100,
        length_mean=50.0,
        flops=flops,
        bytes=bytes,
        again_flops=400.0 if compressor == BASELINE else None,
        distance=(0.1, 0.2, 0.3),
        entropy=(0.5, math.nan, 0.7) if percent == 95 else (0.5, 0.6, 0.7),
        baseline_entropy=(0.4, 0.4, 0.4),
        nats=(3.0, 3.2, 3.4),
        recent_distant=(1.0, 1.5, 2.0),
    )


RUNS = [
    run(),
    run(seed=1, late=(10.0, 10.0, 10.0)),
    run(trained=False, late=(10.0, 20.0, 20.0)),
    run("recency", 80.0, 0, late=(10.0, 18.0, 14.0), flops=40.0, bytes=210),
    run("recency", 80.0, 1, late=(9.0, 9.0, 9.0), flops=60.0, bytes=200),
    run("recency", 80.0, 0, trained=False, late=(5.0, 10.0, 10.0), flops=40.0, bytes=200),
    run("attention", 50.0, 0, late=(10.0, 20.0, 15.0), flops=250.0, bytes=1500),
]


def study(runs: list[StudyRun] = RUNS) -> Study:
    rows, pattern = rows_of(runs, ["attention"]), pattern_of(runs)
    return Study(rows, promises_of(rows, pattern, ["attention"]), pattern, {"from_scratch": False}, {"torch": "2"})
