"""An insight tested by deletion: what dropping costs by a rule, and what dropping as much at random costs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from keepmap.core.intervals import share_interval, t_interval
from keepmap.insight.suggestion import Suggestion

__all__ = [
    "ALIKE",
    "COSTS",
    "HELD",
    "RULES",
    "WORDS",
    "WORSE",
    "Compared",
    "Insight",
    "LeftOut",
    "Rate",
    "Trial",
    "Verification",
    "compared",
    "rate_of",
]

RULES = ("seed", "ours")
"""The document's recommendation for the layer, and keepmap's verdict."""

COSTS = {
    "kl": "KL, whole || shortened",
    "log_likelihood": "log-likelihood lost of the learner's action",
    "nll": "NLL gained on the tokens that follow",
}
"""Cost -> what it is; all in nats, and more is worse."""

WORDS = HELD, WORSE, ALIKE = "held", "refuted: random is better", "refuted: not distinguishable from random"
"""What an interval of what is saved says: above 0, below 0, or neither, which refutes an insight too."""


@dataclass(frozen=True)
class Trial:
    """One layer of one sample, shortened by a rule.

    Attributes:
        layer, sample: which.
        group: samples of one group (an agent's goal, a text) are not independent of each other.
        rule: one of RULES. pattern: what the rule saw.
        kept, of: positions that the rule keeps, of how many; of a language model, over KV heads. What stays in any case
            (the newest position, a language model's sinks) is not counted.
        cost, random: by name, what dropping the others costs, and the mean cost of keeping as many at random.
    """

    layer: int
    sample: int
    group: int
    rule: str
    pattern: str
    kept: int
    of: int
    cost: Mapping[str, float]
    random: Mapping[str, float]


class _Judged:
    """What is judged by the interval `low` to `high` of what it saves against random."""

    low: float | None
    high: float | None

    @property
    def held(self) -> bool:
        """Whether it beats random: the interval is above 0."""
        return self.word == HELD

    @property
    def word(self) -> str:
        """One of WORDS."""
        if self.low is not None and self.low > 0:
            return HELD
        return WORSE if self.high is not None and self.high < 0 else ALIKE


@dataclass(frozen=True)
class Insight(_Judged):
    """What a rule says of one layer, over the samples: `saved` is random's cost less the rule's.

    Attributes:
        pattern: the commonest. n: samples with a trial, in `groups` groups. kept: share, on average.
        cost, random, saved: means. low, high: Student's 95 % interval of `saved` over groups, None for one group.
    """

    rule: str
    layer: int
    pattern: str
    n: int
    groups: int
    kept: float
    cost: float
    random: float
    saved: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Rate:
    """How often a rule's deletion cost less than random's: `wins` of `n` trials, over `groups` groups of samples.

    `low` and `high` are Wilson's 95 % interval of the share, as if each group were one trial; None for one group.
    """

    rule: str
    wins: int
    n: int
    groups: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Compared(_Judged):
    """An overall suggestion against random at the same length: means over n goals or texts.

    Attributes:
        rule: one of RULES. made: what was suggested. unit: of the values.
        whole, suggested, random: with everything, with the suggestion, with random.
        saved: by how much the suggestion is better than random; low, high: Student's paired 95 % interval, None for
            n = 1.
    """

    rule: str
    made: Suggestion
    unit: str
    whole: float
    suggested: float
    random: float
    saved: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Verification:
    """The insights of one model, tested.

    Attributes:
        host: "agent" or "language model". costs: names, the first of which says whether an insight holds: how far the
            predictions move. The other one, of what really came next, is reported beside it.
        trials: where something was dropped. skipped: in words, where nothing was.
        suggestion: the overall one. compared: it, and the seed's, against random.
        n_samples, n_draws: contexts or texts, and random draws for each trial. seed: of the draws.
    """

    host: str
    costs: tuple[str, ...]
    trials: tuple[Trial, ...]
    skipped: tuple[str, ...]
    suggestion: Suggestion
    compared: tuple[Compared, ...]
    n_samples: int
    n_draws: int
    seed: int

    @cached_property
    def insights(self) -> tuple[Insight, ...]:
        """Of each layer and rule, by the first cost."""
        return self.insights_by(self.costs[0])

    def insights_by(self, cost: str) -> tuple[Insight, ...]:
        """Of each layer and rule, by one of the costs."""
        keys = sorted({(trial.layer, RULES.index(trial.rule)) for trial in self.trials})
        found = []
        for layer, rule in keys:
            own = [trial for trial in self.trials if trial.layer == layer and trial.rule == RULES[rule]]
            found.append(_insight(own, cost))
        return tuple(found)

    def rate(self, rule: str, cost: str | None = None) -> Rate:
        """How often the rule's deletion cost less than random's, by the first cost unless another is named."""
        return rate_of([self], rule, cost)


def rate_of(verifications: Sequence[Verification], rule: str, cost: str | None = None) -> Rate:
    """The rate over several verifications, of both hosts for example; by the first cost of each unless one is named."""
    won, groups = list[bool](), set[tuple[int, int]]()
    for number, one in enumerate(verifications):
        name = one.costs[0] if cost is None else cost
        own = [trial for trial in one.trials if trial.rule == rule]
        won += [bool(trial.cost[name] < trial.random[name]) for trial in own]
        groups |= {(number, trial.group) for trial in own}
    low, high = share_interval(sum(won) / len(won), len(groups)) if won else (None, None)
    return Rate(rule, sum(won), len(won), len(groups), low, high)


def compared(
    rule: str,
    made: Suggestion,
    unit: str,
    whole: Float[np.ndarray, " n"],
    suggested: Float[np.ndarray, " n"],
    random: Float[np.ndarray, " n"],
    saved: Float[np.ndarray, " n"],
) -> Compared:
    """The means of n paired values, and the interval of what is saved."""
    low, high = t_interval(saved)
    return Compared(
        rule,
        made,
        unit,
        float(whole.mean()),
        float(suggested.mean()),
        float(random.mean()),
        float(saved.mean()),
        low,
        high,
        len(saved),
    )


class LeftOut:
    """Counts the samples in which a rule drops nothing, or keeps nothing of its own: there is nothing to compare."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, str, str]] = Counter()

    def notes(self, layer: int, rule: str, kept: int, of: int) -> bool:
        """Whether there is no trial; noted then."""
        if 0 < kept < of:
            return False
        why = "nothing is dropped" if kept >= of else "it keeps only what stays in any case"
        self._seen[layer, rule, why] += 1
        return True

    def lines(self, n_samples: int) -> tuple[str, ...]:
        """In words."""
        return tuple(
            f"layer {layer}, {rule}: no trial in {count} of {n_samples} samples: {why}"
            for (layer, rule, why), count in sorted(self._seen.items())
        )


def _insight(trials: Sequence[Trial], cost: str) -> Insight:
    costs, random = (np.array([getattr(one, arm)[cost] for one in trials]) for arm in ("cost", "random"))
    saved, group = random - costs, np.array([one.group for one in trials])
    low, high = t_interval(np.array([saved[group == one].mean() for one in np.unique(group)]))
    return Insight(
        trials[0].rule,
        trials[0].layer,
        Counter(trial.pattern for trial in trials).most_common(1)[0][0],
        len(trials),
        len(np.unique(group)),
        float(np.mean([trial.kept / trial.of for trial in trials])),
        float(costs.mean()),
        float(random.mean()),
        float(saved.mean()),
        low,
        high,
    )
