"""Made-up trials for tests, and the verification that they make."""

import numpy as np

from keepmap.insight.agent_subject import AgentSubject
from keepmap.insight.verification import Trial, Verification, compared


def trial_of(rule: str, layer: int, sample: int, cost: float, random: float) -> Trial:
    costs = [{"kl": value, "log_likelihood": -value} for value in (cost, random)]
    return Trial(
        layer=layer,
        sample=sample,
        group=sample,
        rule=rule,
        pattern="recency",
        kept=5,
        of=20,
        cost=costs[0],
        random=costs[1],
    )


def verification_of(*trials: Trial, n_samples: int = 20) -> Verification:
    low = np.linspace(1, 2, 8)
    recency, uniform = AgentSubject().suggestion("recency", 7, 20), AgentSubject().suggestion("uniform", 10, 20)
    beside, alike = ("uniform", low + 1.5), 3 - low
    overall = compared("ours", recency, "return", low + 2, low + 1, low, beside, more_is_better=True)
    lost = compared("guide", uniform, "return", low, low, alike, ("recency", low), more_is_better=True)
    return Verification(
        host="agent",
        costs=("kl", "log_likelihood"),
        trials=trials,
        skipped=("layer 3, ours: no trial in 1 of 20 samples: nothing is dropped",),
        suggestion=AgentSubject().suggestion("recency", 7, 20),
        compared=(overall, lost),
        n_samples=n_samples,
        n_draws=8,
        seed=0,
    )


def three_insights() -> Verification:
    """One that held, one that is refuted, and one that cannot be told from random."""
    drawn = np.random.default_rng(0).normal(0, 0.1, 20)
    return verification_of(
        *(trial_of("guide", 0, sample, 1.0, 1.0 + noise) for sample, noise in enumerate(drawn - drawn.mean())),
        *(trial_of("ours", 0, sample, 1.0, 2.0 + noise) for sample, noise in enumerate(drawn)),
        *(trial_of("guide", 1, sample, 2.0 + noise, 1.0) for sample, noise in enumerate(drawn)),
    )
