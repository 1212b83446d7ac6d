"""An insight tested by deletion: what dropping costs by a rule, and what dropping as much at random costs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from keepmap.core.arguments import shown
from keepmap.core.intervals import mean_interval, share_interval
from keepmap.core.outside.reporting import ReportedTable
from keepmap.errors import InputError, counted, escaped
from keepmap.insight.suggestion import Suggestion

__all__ = [
    "ALIKE",
    "COSTS",
    "DRAWS",
    "HELD",
    "RULES",
    "WORDS",
    "WORSE",
    "Compared",
    "Difference",
    "Insight",
    "LeftOut",
    "Rate",
    "Rival",
    "Trial",
    "Verification",
    "as_rule",
    "compared",
    "rate_of",
]

RULES = ("guide", "ours")
"""The guide's recommendation for the layer, and keepmap's verdict."""

DRAWS = 8
"""Random choices for each trial, unless asked for otherwise."""

COSTS = {
    "kl": "KL, whole || shortened",
    "log_likelihood": "log-likelihood lost of the learner's action",
    "nll": "NLL gained on the tokens that follow",
}
"""Cost -> what it is; all in nats, and more is worse."""

COLUMNS = ("layer", "rule", "pattern", "kept", "cost", "random", "saved", "low", "high", "n", "verdict")

WORDS = HELD, WORSE, ALIKE = "held", "refuted: random is better", "refuted: not distinguishable from random"
"""What an interval of what is saved says: above 0, below 0, or neither, which refutes an insight too."""


@dataclass(frozen=True, kw_only=True)
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
        """The verdict, one of WORDS."""
        if self.low is not None and self.low > 0:
            return HELD
        return WORSE if self.high is not None and self.high < 0 else ALIKE


@dataclass(frozen=True, kw_only=True)
class Insight(_Judged):
    """What a rule says of one layer, over the samples: `saved` is random's cost less the rule's.

    Attributes:
        pattern: the commonest. n: samples with a trial, in `groups` groups. kept: share, on average.
        cost, random, saved: means. low, high: the 95 % interval of `saved` over groups, None for fewer than three.
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


@dataclass(frozen=True, kw_only=True)
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
class Difference:
    """A mean over goals or texts, and its paired 95 % interval, None for fewer than three."""

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        ends = "" if self.low is None or self.high is None else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.mean:+.3f}{ends}"


@dataclass(frozen=True)
class Rival:
    """What else keeps as many positions: the simplest rule, or where that is the suggestion, another.

    Attributes:
        name: of the compressor or the KV method. value: its mean.
        better: by how much the suggestion is better than it.
    """

    name: str
    value: float
    better: Difference


@dataclass(frozen=True, kw_only=True)
class Compared(_Judged):
    """An overall suggestion against random at the same length: means over n goals or texts.

    It holds where it is better than random. That is little: `lost` says what it costs, and `rival` what another choice
    of the same length does.

    Attributes:
        rule: one of RULES. suggestion: what was suggested. unit: of the values.
        whole, suggested, random: with everything, with the suggestion, with random.
        saved: by how much the suggestion is better than random; low, high: the paired 95 % interval, None
            for n below 3.
        lost: by how much it is worse than with everything. rival: None, as `lost`, in files of earlier versions.
    """

    rule: str
    suggestion: Suggestion
    unit: str
    whole: float
    suggested: float
    random: float
    saved: float
    low: float | None
    high: float | None
    n: int
    lost: Difference | None = None
    rival: Rival | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Verification(ReportedTable):
    """The insights of one model, tested: as a table, a row for each layer and rule, judged by the first cost.

    Attributes:
        host: "agent" or "language model". costs: names, the first of which says whether an insight holds: how far the
            predictions move. The other one, of what really came next, is reported beside it.
        trials: where something was dropped. skipped: in words, where nothing was.
        suggestion: the overall one. compared: it, and the guide's, against random.
        n_samples, n_draws: contexts or texts, and random draws for each trial. seed: of the draws.

    >>> import keepmap
    >>> verification = keepmap.verify("tiny", "The code of river is 4821. " * 9, layers=1, draws=1)
    >>> verification.columns[:3], verification.rate("guide").n <= verification.n_samples
    (('layer', 'rule', 'pattern'), True)
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

    def __repr__(self) -> str:
        lines = [f"Verification: {self.caption}", *(f"  {self._answer(rule)}" for rule in RULES)]
        return escaped("\n".join(lines))

    def _answer(self, rule: str) -> str:
        rate, held = self.rate(rule), [insight.held for insight in self.insights if insight.rule == rule]
        if not held:
            return f"{rule}: no trials"
        return (
            f"{rule}: {sum(held)} of {len(held)} insights held; cheaper than random in {rate.wins} of {rate.n} trials"
        )

    @property
    def rows(self) -> list[dict[str, object]]:
        """One dictionary per layer and rule, costs in nats by the first of `costs`; `verdict` is one of WORDS."""
        rows = (asdict(insight) | {"verdict": insight.word} for insight in self.insights)
        return [{name: row[name] for name in self.header} for row in rows]

    @property
    def header(self) -> tuple[str, ...]:
        """The shown columns, and over how many groups the interval is."""
        return (*COLUMNS, "groups")

    @property
    def columns(self) -> tuple[str, ...]:
        """What was dropped, what it cost against random, and the verdict."""
        return COLUMNS

    @property
    def caption(self) -> str:
        """How many insights held, and what was tested how."""
        held = sum(insight.held for insight in self.insights)
        return (
            f"{held} of {len(self.insights)} insights held; {self.host}, {counted(self.n_samples, 'sample')}, "
            f"{counted(self.n_draws, 'random draw')} each; {COSTS[self.costs[0]]}, in nats"
        )

    @cached_property
    def insights(self) -> tuple[Insight, ...]:
        """The insight of each layer and rule, by the first cost."""
        return self.insights_by(self.costs[0])

    def insights_by(self, cost: str) -> tuple[Insight, ...]:
        """The insight of each layer and rule, by one of the costs."""
        keys = sorted({(trial.layer, RULES.index(trial.rule)) for trial in self.trials})
        insights = []
        for layer, rule in keys:
            own = [trial for trial in self.trials if trial.layer == layer and trial.rule == RULES[rule]]
            insights.append(_insight(own, cost))
        return tuple(insights)

    def rate(self, rule: str, cost: str | None = None) -> Rate:
        """How often the rule's deletion cost less than random's, by the first cost unless another is named."""
        return rate_of([self], rule, cost)


def rate_of(verifications: Sequence[Verification], rule: str, cost: str | None = None) -> Rate:
    """The rate over several verifications, of both hosts for example; by the first cost of each unless one is named."""
    rule = as_rule(rule)
    won, groups = list[bool](), set[tuple[int, int]]()
    for number, verification in enumerate(verifications):
        name = verification.costs[0] if cost is None else cost
        own = [trial for trial in verification.trials if trial.rule == rule]
        won += [bool(trial.cost[name] < trial.random[name]) for trial in own]
        groups |= {(number, trial.group) for trial in own}
    low, high = share_interval(sum(won) / len(won), len(groups)) if won else (None, None)
    return Rate(rule=rule, wins=sum(won), n=len(won), groups=len(groups), low=low, high=high)


def as_rule(rule: str) -> str:
    """One of RULES; "seed" is the old name of "guide".

    Raises:
        InputError: another name.
    """
    if rule not in (*RULES, "seed"):
        raise InputError(f'expected `rule` to be "guide" or "ours", got {shown(rule)}')
    return "guide" if rule == "seed" else rule


def compared(
    rule: str,
    suggestion: Suggestion,
    unit: str,
    whole: Float[np.ndarray, " n"],
    suggested: Float[np.ndarray, " n"],
    random: Float[np.ndarray, " n"],
    rival: tuple[str, Float[np.ndarray, " n"]],
    *,
    more_is_better: bool,
) -> Compared:
    """The means of n paired values, and the intervals of what is saved against random and the rival, and lost."""
    sign = 1.0 if more_is_better else -1.0
    saved = sign * (suggested - random)
    low, high = mean_interval(saved)
    name, values = rival
    return Compared(
        rule=rule,
        suggestion=suggestion,
        unit=unit,
        whole=float(whole.mean()),
        suggested=float(suggested.mean()),
        random=float(random.mean()),
        saved=float(saved.mean()),
        low=low,
        high=high,
        n=len(saved),
        lost=_difference(sign * (whole - suggested)),
        rival=Rival(name, float(values.mean()), _difference(sign * (suggested - values))),
    )


def _difference(values: Float[np.ndarray, " n"]) -> Difference:
    return Difference(float(values.mean()), *mean_interval(values))


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
        """One line for each layer and rule that has no trial in some of the n samples: in how many, and why."""
        return tuple(
            f"layer {layer}, {rule}: no trial in {count} of {n_samples} samples: {why}"
            for (layer, rule, why), count in sorted(self._seen.items())
        )


def _insight(trials: Sequence[Trial], cost: str) -> Insight:
    costs, random = (np.array([getattr(trial, arm)[cost] for trial in trials]) for arm in ("cost", "random"))
    saved, group = random - costs, np.array([trial.group for trial in trials])
    low, high = mean_interval(np.array([saved[group == number].mean() for number in np.unique(group)]))
    return Insight(
        rule=trials[0].rule,
        layer=trials[0].layer,
        pattern=Counter(trial.pattern for trial in trials).most_common(1)[0][0],
        n=len(trials),
        groups=len(np.unique(group)),
        kept=float(np.mean([trial.kept / trial.of for trial in trials])),
        cost=float(costs.mean()),
        random=float(random.mean()),
        saved=float(saved.mean()),
        low=low,
        high=high,
    )
