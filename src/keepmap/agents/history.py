"""What travels through a history compressor: a history, the choice of what it keeps, and the history that is left."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from keepmap.agents.numbers import as_tensor, one_number
from keepmap.core.html import card
from keepmap.errors import InputError, kind_of

__all__ = ["History", "Selection", "narrowed", "nothing", "shorten"]


@dataclass(frozen=True, eq=False, kw_only=True)
class History:
    """What B agents have seen so far: B rows of up to n transitions (s, a, r, s'), the most recent last.

    Attributes:
        states, next_states: [B, n, S], cells or other numbers.
        actions: [B, n], rewards: [B, n].
        times: [B, n], steps since the agent's first one; they stay when transitions are dropped, and give the true age.
        valid: [B, n], False where there is no transition; the valid ones of a row are in chronological order.
        attention: [B, n] or None; how much the query state attends to each transition of this history, a mean over
            layers and heads, not renormalised.
        dones: [B, n] or None; which transitions ended an episode.
        here: [B, n, S] or None; the state that the agent is in now, the same at every transition of a row.

    Raises:
        InputError: shapes that disagree.

    >>> history = History(
    ...     states=torch.zeros(1, 2, 2, dtype=torch.int64),
    ...     actions=torch.tensor([[0, 2]]),
    ...     rewards=torch.tensor([[0.0, 1.0]]),
    ...     next_states=torch.tensor([[[1, 0], [1, 1]]]),
    ...     times=torch.tensor([[0, 1]]),
    ...     valid=torch.ones(1, 2, dtype=torch.bool),
    ... )
    >>> history.table()
    [('0', '(0, 0)', '0', '0', '(1, 0)'), ('1', '(0, 0)', '2', '1', '(1, 1)')]
    """

    states: Shaped[Tensor, "..."]
    actions: Shaped[Tensor, "..."]
    rewards: Shaped[Tensor, "..."]
    next_states: Shaped[Tensor, "..."]
    times: Int[Tensor, "..."]
    valid: Bool[Tensor, "..."]
    attention: Float[Tensor, "..."] | None = None
    dones: Bool[Tensor, "..."] | None = None
    here: Shaped[Tensor, "..."] | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not isinstance(value, Tensor) and not (value is None and part.default is None):
                raise InputError(f"expected `{part.name}` to be a tensor, got {kind_of(value)}")
        shape = self.valid.shape
        flat: dict[str, Tensor | None] = {"actions": self.actions, "rewards": self.rewards, "times": self.times}
        flat |= {"attention": self.attention, "dones": self.dones}
        deep: dict[str, Tensor | None] = {"states": self.states, "next_states": self.next_states, "here": self.here}
        wrong = [name for name, value in flat.items() if value is not None and value.shape != shape]
        wrong += [
            name
            for name, value in deep.items()
            if value is not None and (value.dim() != 3 or tuple(value.shape[:2]) != shape)
        ]
        if len(shape) != 2 or wrong or self.states.shape != self.next_states.shape:
            shown = {**flat, **deep}[wrong[0]] if wrong else self.next_states
            raise InputError(
                f"{wrong[0] if wrong else 'next_states'} of a history have the shape {_size(shown)} and its mask has "
                f"{tuple(shape)}; all must be (batch, transitions), states (batch, transitions, state)"
            )

    @classmethod
    def from_arrays(
        cls, states: object, actions: object, rewards: object, next_states: object, episode_ends: object = None
    ) -> "History":
        """The history that arrays hold: of one agent, n transitions with the oldest first, or of B agents.

        >>> import keepmap
        >>> history = keepmap.History.from_arrays(
        ...     states=[[4, 4], [4, 5], [3, 5]],
        ...     actions=[3, 0, 4],
        ...     rewards=[0.0, 0.0, 1.0],
        ...     next_states=[[4, 5], [3, 5], [3, 5]],
        ...     episode_ends=[False, False, False],
        ... )
        >>> history
        History(1 rows x 3 transitions, 3 of a row valid, times 0..2, states of 2 numbers, with dones)
        >>> keepmap.profile_attention(keepmap.load_agent("tiny"), history).shape  # the query is the fourth position
        (4, 4, 4)

        Args:
            states, next_states: [n, S] or [n], where each state is one number; of B agents [B, n, S] or [B, n].
            actions: [n] whole numbers, or [n, A] of any kind: one-hot vectors become their place, and of others equal
                ones get equal numbers. Of B agents, B in front.
            rewards: [n] or [B, n].
            episode_ends: as rewards, True where a transition ended an episode; None where that is not known.

        Raises:
            InputError: no arrays of numbers, or shapes that disagree.
        """
        given = {"states": states, "actions": actions, "rewards": rewards, "next_states": next_states}
        parts = {name: as_tensor(name, value) for name, value in given.items()}
        shape = tuple(parts["rewards"].shape)
        if len(shape) not in (1, 2):
            raise InputError(f"expected `rewards` to be [n] of one agent or [B, n] of B agents, got the shape {shape}")
        if len(shape) == 1:
            parts, shape = {name: value[None] for name, value in parts.items()}, (1, *shape)
        for name, value in parts.items():
            if tuple(value.shape[:2]) != shape or value.dim() > 3:
                raise InputError(f"expected `{name}` to fit `rewards` of the shape {shape}, got {tuple(value.shape)}")
        ends = None if episode_ends is None else as_tensor("episode_ends", episode_ends)
        if ends is not None:
            ends = ends[None] if ends.dim() == 1 and shape[0] == 1 else ends
            if tuple(ends.shape) != shape:
                raise InputError(
                    f"expected `episode_ends` to fit `rewards` of the shape {shape}, got {tuple(ends.shape)}"
                )
            if not ((ends == 0) | (ends == 1)).all():
                raise InputError("expected `episode_ends` to be True and False, got other numbers")
            ends = ends.bool()
        states, next_states = (
            value[..., None] if value.dim() == 2 else value for value in (parts["states"], parts["next_states"])
        )
        return cls(
            states=states,
            actions=one_number(parts["actions"]),
            rewards=parts["rewards"].float(),
            next_states=next_states,
            times=torch.arange(shape[1], device=parts["rewards"].device).expand(shape),
            valid=torch.ones(shape, dtype=torch.bool, device=parts["rewards"].device),
            dones=ends,
        )

    def __repr__(self) -> str:
        kept = self.valid.sum(1).tolist()
        extras = [name for name in ("attention", "dones") if getattr(self, name) is not None]
        return (
            f"History({self.valid.shape[0]} rows x {self.valid.shape[1]} transitions, {_span(kept)} of a row valid, "
            f"times {_span(self.times[self.valid].tolist())}, states of {self.states.shape[2]} numbers"
            + (f", with {' and '.join(extras)})" if extras else ")")
        )

    def _repr_html_(self) -> str:
        """For notebooks: `repr`, and a row for each of the first and last transitions of the first row."""
        return card(repr(self), ("time", "state", "action", "reward", "next state"), self.table())

    def table(self) -> list[tuple[str, ...]]:
        """The valid transitions of the first row, as text: time, state, action, reward, next state."""
        parts = (self.times, self.states, self.actions, self.rewards, self.next_states)
        real = self.valid[:1]
        rows = zip(*(part[:1][real].tolist() for part in parts), strict=True)
        return [tuple(map(_cell, row)) for row in rows]

    def at(self, states: Shaped[Tensor, "B S"]) -> "History":
        """The same history, of agents that are in these states now."""
        return replace(self, here=states[:, None].expand_as(self.states))

    def map(self, change: Callable[[Tensor], Tensor]) -> "History":
        """The history whose parts are what `change` makes of these: some rows, some transitions, copies."""
        return History(**{name: change(part) for name, part in vars(self).items() if part is not None})


@dataclass(frozen=True, eq=False)
class Selection:
    """Which transitions of a history are kept.

    Attributes:
        indices: [B, m], positions in the history, in chronological order.
        mask: [B, m], False where a row keeps fewer than m: the index there is 0 and means nothing. The kept ones come
            first.
    """

    indices: Int[Tensor, "B m"]
    mask: Bool[Tensor, "B m"]

    def __repr__(self) -> str:
        return f"Selection({len(self.mask)} rows, {_span(self.mask.sum(1).tolist())} transitions of a row)"


def nothing(dtype: torch.dtype) -> int:
    """What stands where there is no transition: -1, and the largest value in types without a sign; never 0."""
    return -1 if dtype.is_floating_point or dtype.is_signed else torch.iinfo(dtype).max


def shorten(history: History, selection: Selection) -> History:
    """The kept transitions alone, in order, with the times that they had: their age does not change.

    Where a row keeps fewer than m, `valid` is False and every field holds -1 (the largest value of a type without a
    sign): neither a state, an action, a time nor an attention, and no NaN that a masked product would spread. The kept
    attention is not renormalised.

    Returns:
        A history of m transitions; all kept ones come first.
    """
    rows = torch.arange(len(selection.indices), device=selection.indices.device)[:, None]

    def gathered(values: Shaped[Tensor, "B n *rest"]) -> Shaped[Tensor, "B m *rest"]:
        kept = values[rows, selection.indices]
        gone = ~selection.mask.reshape(*selection.mask.shape, *[1] * (values.dim() - 2))
        return kept.masked_fill(gone, nothing(values.dtype))

    return History(
        states=gathered(history.states),
        actions=gathered(history.actions),
        rewards=gathered(history.rewards),
        next_states=gathered(history.next_states),
        times=gathered(history.times),
        valid=selection.mask,
        attention=None if history.attention is None else gathered(history.attention),
        dones=None if history.dones is None else history.dones[rows, selection.indices] & selection.mask,
        here=None if history.here is None else gathered(history.here),
    )


def narrowed(selection: Selection) -> Selection:
    """The same choice without the places that no row uses: as wide as the row that keeps most.

    A compressor whose rows keep different numbers reserves its `max_length` for each; a pass would compute them all.
    """
    most = int(selection.mask.sum(1).max())
    return Selection(selection.indices[:, :most], selection.mask[:, :most])


def _cell(value: object) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(_cell, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _size(value: Tensor | None) -> tuple[int, ...]:
    return () if value is None else tuple(value.shape)


def _span(values: list[int]) -> str:
    if not values:
        return "none"
    least, most = min(values), max(values)
    return str(least) if least == most else f"{least}..{most}"
