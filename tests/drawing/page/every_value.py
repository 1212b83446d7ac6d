"""One small value of every kind that has a page, and what else the page of it needs."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch

import keepmap
from keepmap.agents.acting import Context
from keepmap.agents.history import History
from keepmap.agents.study.lives import findings_of
from tests.agents.evaluation.test_returns import learning
from tests.agents.study.lives.some_lives import BEST, LIVES, RANDOM
from tests.agents.study.some_runs import study
from tests.drawing.page.pages import compared, keep_maps, words
from tests.insight.test_document import verification
from tests.kv.surrogate_training.test_result import trained

NAMES = (
    *("attention", "comparison", "history", "evaluation", "eviction", "family", "generation", "keep_map", "study"),
    *("suggestion", "surrogate", "tasks", "verification"),
)
TEXT = "The code of river is 4821. " * 9


@cache
def values() -> Mapping[str, Any]:
    """By kind."""
    eviction = keepmap.evict("tiny", TEXT, "h2o", density=0.3, window=16)
    return {
        "attention": keepmap.profile_attention("tiny", TEXT),
        "comparison": compared(keep_maps(120), words(120)),
        "history": history(),
        "evaluation": learning(),
        "eviction": eviction,
        "family": findings_of(LIVES, BEST, RANDOM, {"world": "bandit"}, {"keepmap": "0"}),
        "generation": keepmap.generate("tiny", TEXT, "h2o", density=0.2, window=16, max_new_tokens=12, compare=True),
        "keep_map": eviction.keep_map,
        "study": study(),
        "suggestion": verification("agent").suggestion,
        "surrogate": trained(),
        "tasks": keepmap.sweep("tiny", "facts", "h2o, streaming_llm", density=(0.2, 0.6), n_samples=3, length=150),
        "verification": verification("agent"),
    }


def history(n: int = 50) -> Context:
    """Episodes of 20 steps, of which the first has lost its beginning; each of the last three steps is rewarded."""
    steps = np.arange(10, 10 + n)
    states = torch.stack([torch.arange(n) % 9, torch.arange(n) % 7], dim=1)[None]
    transitions = History(
        states=states,
        actions=torch.arange(n)[None] % 5,
        rewards=torch.tensor(steps % 20 >= 17)[None].float(),
        next_states=states,
        times=torch.tensor(steps)[None],
        valid=torch.ones(1, n, dtype=torch.bool),
        dones=torch.tensor(steps % 20 == 19)[None],
    )
    return Context(transitions, states[:, 0], torch.tensor([10 + n]), goal=(3, 4))
