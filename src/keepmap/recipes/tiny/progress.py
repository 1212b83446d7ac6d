"""How far a training run is, how long it will take, and the lines that say so."""

from dataclasses import dataclass

from keepmap.recipes.tiny.recipe import Recipe

__all__ = ["Clock", "Progress", "Reporter"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands, after a step: losses in nats per token, `recall` as a share of digits or copied tokens."""

    stage: str
    step: int  # of the stage, from 1
    steps: int
    recall_loss: float
    recall: float
    prose_loss: float
    seconds_left: float


class Clock:
    """Guesses the seconds left from the seconds per token so far."""

    def __init__(self, recipe: Recipe) -> None:
        self._tokens = [stage.batch * stage.length for stage in recipe.stages]
        self._steps = [stage.steps for stage in recipe.stages]
        self._seconds = self._seen = 0.0

    def left(self, stage: int, step: int, seconds: float) -> float:
        """Seconds left after this step (counted from 0) of this stage, which took `seconds`."""
        self._seconds += seconds
        self._seen += self._tokens[stage]
        rest = self._tokens[stage] * (self._steps[stage] - step - 1)
        rest += sum(n * tokens for n, tokens in zip(self._steps[stage + 1 :], self._tokens[stage + 1 :], strict=True))
        return rest * self._seconds / self._seen


class Reporter:
    """Prints a line of averages every `EVERY` steps and at the end of a stage."""

    EVERY = 50

    def __init__(self) -> None:
        self._seen: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self._seen.append(progress)
        if len(self._seen) == self.EVERY or progress.step == progress.steps:
            n = len(self._seen)
            print(
                f"{progress.stage} {progress.step}/{progress.steps}: "
                f"recalled {sum(seen.recall for seen in self._seen) / n:.1%}, "
                f"recall loss {sum(seen.recall_loss for seen in self._seen) / n:.3f}, "
                f"prose loss {sum(seen.prose_loss for seen in self._seen) / n:.3f}, "
                f"{progress.seconds_left / 60:.1f} minutes left",
                flush=True,
            )
            self._seen.clear()
