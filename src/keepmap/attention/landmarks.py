"""Where an agent's history has its episodes and rewards: what a picture of its attention is read by."""

from dataclasses import dataclass

__all__ = ["Landmarks"]


@dataclass(frozen=True)
class Landmarks:
    """Of each position of an agent's context: the transitions, oldest first, and last the query.

    Attributes:
        episodes: [N], the number of the episode, from 1 at the agent's first.
        steps: [N], of the step within its episode, from 1.
        rewards: [N], of the transition; None at the query, which has none yet.
    """

    episodes: tuple[int, ...]
    steps: tuple[int, ...]
    rewards: tuple[float | None, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """A text for each position: "(episode, step)"."""
        return tuple(f"({episode}, {step})" for episode, step in zip(self.episodes, self.steps, strict=True))

    @property
    def starts(self) -> list[int]:
        """The first position of every episode but the first one there is."""
        return [at for at in range(1, len(self.episodes)) if self.episodes[at] != self.episodes[at - 1]]

    @property
    def rewarded(self) -> list[int]:
        """The positions of transitions with a reward that is not 0."""
        return [at for at, reward in enumerate(self.rewards) if reward]
