"""Which runs a study has: compressors at budgets from training seeds, and the baselines."""

from collections.abc import Sequence
from dataclasses import dataclass

from keepmap.agents.compressor import Compressor, compressor_class, compressors
from keepmap.agents.study.results import BASELINE, label_of
from keepmap.errors import InputError

__all__ = ["BUDGETS", "PlannedRun", "plan_study"]

BUDGETS = (50.0, 80.0, 95.0)
TWICE = 80.0
"""The budget that has two training seeds by default."""


@dataclass(frozen=True)
class PlannedRun:
    """One run: a compressor (or "baseline"), how many per cent shorter, how many are kept at most, a training seed.

    Attributes:
        trained: whether the agent is trained under the compressor; else the baseline's weights act under it.
    """

    compressor: str
    percent: float
    length: int
    seed: int
    trained: bool

    def __str__(self) -> str:
        budget = "" if self.compressor == BASELINE else f"-{self.percent:g}"
        return f"{self.compressor}{budget}{'' if self.trained else '-rollout'}-seed{self.seed}"

    @property
    def label(self) -> str:
        """What tables call its compressor at its budget: `recency 80%`, or `baseline`."""
        return label_of(self.compressor, self.percent)

    def make(self) -> Compressor | None:
        """The compressor; None for the baseline."""
        return None if self.compressor == BASELINE else compressor_class(self.compressor).of_length(self.length)


def plan_study(
    names: str | Sequence[str], budgets: Sequence[float], seeds: int | None, n_transit: int, checkpoints: int
) -> tuple[PlannedRun, ...]:
    """Every compressor at every budget and the baseline, trained, and without training for each baseline that there is.

    Args:
        names: of compressors, or "usual" (those that say so of themselves), or "all".
        budgets: how many per cent shorter.
        seeds: of training, from 0; by default two at 80 % and one at the others.
        checkpoints: how many baselines there are: one for all seeds, or one for each.

    Raises:
        InputError: an unknown compressor, a budget that is not in 0 to 100 or given twice or nearly so, no seed, or
            more checkpoints than seeds or fewer.
    """
    words = names.replace(",", " ").split() if isinstance(names, str) else " ".join(names).replace(",", " ").split()
    every = compressors()
    groups = {"all": [*every], "usual": [name for name, known in every.items() if known.is_usual]}
    chosen = groups[words[0]] if len(words) == 1 and words[0] in groups else list(dict.fromkeys(words))
    if not chosen or not budgets:
        raise InputError(
            f"expected `compressors` and `budgets` to be one or more each, got {len(chosen)} and {len(budgets)}; name "
            "`compressors` (or usual, or all) and `budgets`, as 50 80 95"
        )
    for name in chosen:
        compressor_class(name, "compressors")
    for percent in budgets:
        if not 0 <= percent <= 100:
            raise InputError(f"expected `budgets` to be per cent in 0 to 100, got {percent:g}")
        if list(budgets).count(percent) > 1:
            raise InputError(f"`budgets`: {percent:g} is given twice; give it once")
        near = next((other for other in budgets if other != percent and f"{other:g}" == f"{percent:g}"), None)
        if near is not None:
            raise InputError(
                f"`budgets`: {percent!r} and {near!r} would share the folder {percent:g}; give one of them"
            )
    if seeds is not None and seeds < 1:
        raise InputError(f"expected `seeds` to be 1 or more, got {seeds}")
    of_budget = {percent: seeds or (2 if percent == TWICE else 1) for percent in budgets}
    most = max(of_budget.values())
    if checkpoints not in (1, most):
        raise InputError(
            f"expected `checkpoint` to be one, or one for each training seed ({most}), got {checkpoints}; change "
            "`checkpoint` or `seeds`"
        )
    plan = []
    for trained in (True, False):
        agents = most if trained else checkpoints
        plan += [PlannedRun(BASELINE, 0.0, n_transit, seed, trained) for seed in range(agents)]
        for percent in budgets:
            length = max(1, round(n_transit * (1 - percent / 100)))
            plan += [
                PlannedRun(name, percent, length, seed, trained)
                for name in chosen
                for seed in range(min(of_budget[percent], agents))
            ]
    return tuple(plan)
