"""Answers that are written down, for what follows from answers."""

from dataclasses import replace

from keepmap.kv.tasks import FULL, AnswerRow

__all__ = ["ROW", "row"]

ROW = AnswerRow(
    task="facts",
    sample=0,
    question=0,
    method="h2o",
    label="H2O",
    density=0.5,
    n_context=100,
    answer=" 4821.\n",
    n_new=6,
    is_finished=False,
    target=" 4821",
    n_target=5,
    score=1.0,
    exact=True,
    nll=0.1,
    is_greedy=True,
    held=0.5,
    footprint=0.6,
    nbytes=500,
    peak_nbytes=900,
    full_nbytes=1000,
    kept=0.8,
    ger=0.0,
    ger_by_layer=0.1,
    whole=0.3,
    mass=0.2,
    by_head=((0.8, 0.8),),
    deaths=(None, 44),
)


def row(sample: int, method: str, density: float, score: float, kept: float, question: int = 0) -> AnswerRow:
    held = 1.0 if method == FULL else density
    return replace(
        ROW,
        sample=sample,
        question=question,
        method=method,
        label=method.upper(),
        density=density,
        score=score,
        nll=1 - score,
        kept=kept,
        held=held,
        footprint=held,
    )
