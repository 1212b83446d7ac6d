"""What a history compressor is: frozen data and one pure function. Adding one is adding one file to this folder."""

import math
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from keepmap.agents.arrays import Attends, Compressed, as_history, taken, with_attention
from keepmap.agents.history import History, Selection
from keepmap.agents.numbers import Array
from keepmap.core.arguments import LARGEST, as_flag, as_integer, check_options
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError, kind_of

__all__ = [
    "AS_TRAINED",
    "WHOLE_WINDOW",
    "Compressed",
    "Compressor",
    "History",
    "Selection",
    "acting_compressor",
    "as_compressor",
    "at_least",
    "compressor_class",
    "compressors",
    "ends_of",
    "make_compressor",
    "positive",
    "share_of_one",
    "states_now",
    "yes_or_no",
]

AS_TRAINED = "as_trained"
"""In place of a compressor: the one that the agent was trained with, if any."""
WHOLE_WINDOW = "none"
"""In place of a compressor: the window as it is, whatever the agent was trained with. None says the same."""


@dataclass(frozen=True)
class Compressor(ABC):
    """A way to choose which transitions of a history an agent keeps; its fields are its options.

    What a row keeps depends on that row alone: not on the rest of the batch, on padding, device or order.

    Class variables, declared by the final class:
        name: what users type and configurations hold.
        length_option: the option that says how many it keeps.
        needs_attention: whether `History.attention` decides.
        needs_episodes: whether `History.dones`, which say where episodes end, decide.
        keeps_newest: whether the most recent transition is always kept.
        remembers: whether it holds what it chose from the whole life: in rollout it is then shown what it held and what
            came since, in place of the window.
        is_usual: whether a study runs it where no compressor is named.

    >>> import keepmap
    >>> keepmap.RecencyCompressor(keep_recent=3).max_length, keepmap.compressors()["uniform"].of_length(4)
    (3, UniformCompressor(target_length=4))
    """

    name: ClassVar[str]
    length_option: ClassVar[str] = "target_length"
    needs_attention: ClassVar[bool] = False
    needs_episodes: ClassVar[bool] = False
    keeps_newest: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    is_usual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def of_length(cls, length: int) -> "Compressor":
        """One that keeps `length` transitions at most, and is as usual otherwise.

        Raises:
            InputError: a length below 1.
        """
        return cls(**{cls.length_option: length})

    @property
    @abstractmethod
    def max_length(self) -> int:
        """The most transitions that it can keep."""

    @abstractmethod
    def kept(self, history: History) -> Bool[Tensor, "B n"]:
        """Which transitions are kept: at most `max_length` of each row, and valid ones only."""

    def select(self, history: History) -> Selection:
        """Choose: the one function that training and rollout share.

        Returns:
            m = min(max_length, n) places per row.

        Raises:
            InputError: attention decides and the history has none, or one that is negative or not finite; or episodes
                decide and the history does not say where they end.
        """
        if not isinstance(history, History):
            raise InputError(f"expected `history` to be a History, got {kind_of(history)}; `compress` takes arrays")
        if self.needs_attention:
            self._check(history)
        if self.needs_episodes:
            ends_of(history)
        kept = self.kept(history)
        shape = history.valid.shape
        if not isinstance(kept, Tensor) or kept.dtype != torch.bool or kept.shape != shape:
            kind = f"{kept.dtype} of {tuple(kept.shape)}" if isinstance(kept, Tensor) else kind_of(kept)
            raise InputError(
                f"expected `kept` of {type(self).__name__} to give a bool tensor of {tuple(shape)}, got {kind}"
            )
        kept = kept & history.valid
        places = min(self.max_length, kept.shape[1])
        first = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, :places]
        mask = kept.gather(1, first)
        return Selection(first.masked_fill(~mask, 0), mask)

    def compress(
        self,
        states: Array,
        actions: Array,
        rewards: Array,
        next_states: Array,
        *,
        attention: Array | None = None,
        episode_ends: Array | None = None,
        query_states: Array | None = None,
        mask: Array | None = None,
        agent: Attends | None = None,
    ) -> Compressed:
        """The kept transitions of a batch, in chronological order; torch tensors or numpy arrays, as given.

        >>> import keepmap, torch
        >>> states = torch.arange(8).reshape(1, 4, 2)
        >>> actions, rewards, agent = torch.zeros(1, 4), torch.tensor([[0, 1, 0, 0]]), keepmap.load_agent("tiny")
        >>> kept = keepmap.AttentionBasedCompressor(2).compress(states, actions, rewards, states, agent=agent)
        >>> kept.indices.shape
        torch.Size([1, 2])

        Args:
            states, next_states: [B, n, S].
            actions: [B, n], [B, n, 1] or one-hot [B, n, A].
            rewards: [B, n] or [B, n, 1].
            attention: [B, n], of the query state to each transition; this or `agent`, where `needs_attention`.
            episode_ends: [B, n], True where a transition ended an episode; where `needs_episodes`.
            query_states: [B, S], of the agents now, which `nearest` asks for; by default where the last transition led.
            mask: [B, n], False where there is no transition; by default all are there.
            agent: whose attention decides, as `load_agent` gives; it is asked in `query_states`, and only where
                `needs_attention`.

        Returns:
            Four arrays of at most `max_length` transitions, as a tuple with `.mask` and `.indices` [B, m]. Where rows
            keep different numbers, the shorter end in NaN (floats), -1 or the type's largest value (unsigned), and
            `mask` is False there.

        Raises:
            InputError: shapes that disagree; attention that is missing, negative or not finite; both `attention` and
                `agent`; or states and actions that the agent does not know.
        """
        history = as_history(states, actions, rewards, next_states, attention, mask, episode_ends, query_states)
        if agent is not None:
            if attention is not None:
                raise InputError("expected `attention` or `agent`, whose attention it is, got both; leave one out")
            if self.needs_attention:
                history = with_attention(agent, history)
        return taken((states, actions, rewards, next_states), self.select(history))

    def _check(self, history: History) -> None:
        attention = history.attention
        if attention is None:
            raise InputError(
                f"{type(self).__name__} decides by attention and none was given; pass attention=... or agent=..."
            )
        bad = history.valid & ~((attention >= 0) & attention.isfinite())
        if bad.any():
            raise InputError(
                f"{int(bad.sum())} values of the attention are negative or not finite; pass softmax weights"
            )


def ends_of(history: History) -> Bool[Tensor, "B n"]:
    """Which transitions ended an episode.

    Raises:
        InputError: the history does not say.
    """
    if history.dones is None:
        raise InputError("episodes decide and the history does not say where they end; pass episode_ends=...")
    return history.dones & history.valid


def states_now(history: History) -> Shaped[Tensor, "B n S"]:
    """The state that the agent is in, at every transition: what the history says, or else where its last one led."""
    if history.here is not None:
        return history.here
    n = history.valid.shape[1]
    if n == 0:
        return history.states
    last = (history.valid * torch.arange(1, n + 1, device=history.valid.device)).argmax(dim=1)
    rows = torch.arange(len(last), device=last.device)
    return history.next_states[rows, last][:, None].expand_as(history.states)


def at_least(least: int, **options: object) -> None:
    """Check options that count transitions.

    Raises:
        InputError: one is below `least`, or no integer.
    """
    for name, value in options.items():
        as_integer(name, value, least, None if name == "seed" else LARGEST)  # a seed is hashed, whatever its size


def yes_or_no(**options: bool) -> None:
    """Check options that are true or false.

    Raises:
        InputError: one is neither.
    """
    for name, value in options.items():
        as_flag(name, value)


def share_of_one(**options: float) -> None:
    """Check options that are a part of a whole.

    Raises:
        InputError: one is not in 0 to 1.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"expected `{name}` to be in 0 to 1, got {value!r}")


def positive(**options: float) -> None:
    """Check options that must be above 0.

    Raises:
        InputError: one is not, or is not finite.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InputError(f"expected `{name}` to be a finite number above 0, got {value!r}")


def _check_length_option(compressor: type[Compressor]) -> None:
    if compressor.length_option not in (option.name for option in fields(compressor)):
        raise InputError(f'its length_option "{compressor.length_option}" is not an option of it')


_COMPRESSORS: Registry[Compressor] = Registry(
    "compressor",
    Compressor,  # type: ignore[type-abstract]
    "keepmap.agents.compressors",
    check=_check_length_option,
)


def compressors() -> dict[str, type[Compressor]]:
    """Every compressor by name, in alphabetical order.

    >>> list(compressors())[:3]
    ['adaptive', 'attention', 'best_episodes']
    """
    return _COMPRESSORS.classes()


def compressor_class(name: str, parameter: str = "compressor") -> type[Compressor]:
    """The compressor called `name`, which was given as `parameter`.

    Raises:
        InputError: there is none; names the closest.
    """
    return _COMPRESSORS.named(name, parameter)


def make_compressor(
    name: str, options: Mapping[str, object] | None = None, parameter: str = "compressor"
) -> Compressor:
    """The compressor called `name` with these options; values may be text, as they come from a command line.

    Raises:
        InputError: no such compressor or option, or a value that the option cannot take.
    """
    return _COMPRESSORS.make(name, options, parameter)


def as_compressor(value: object, parameter: str = "compressor") -> Compressor | None:
    """A compressor however it is given: a name (with its usual options), a compressor, or None for none.

    Args:
        parameter: whose value it is, for the message.

    Raises:
        InputError: it is none of these, or there is no compressor of this name.

    >>> as_compressor("recency")
    RecencyCompressor(keep_recent=10)
    """
    if isinstance(value, Compressor):
        _COMPRESSORS.check_value(value, parameter)
    if value is None or isinstance(value, Compressor):
        return value
    if isinstance(value, str):
        return make_compressor(value, parameter=parameter)
    if isinstance(value, type):
        hint = f", as {value.__name__}()" if issubclass(value, Compressor) else ""
        raise InputError(
            f"expected `{parameter}` to be a compressor or the name of one{hint}, got the class {value.__name__}"
        )
    raise InputError(f"expected `{parameter}` to be a compressor or the name of one, got {reprlib.repr(value)}")


def acting_compressor(value: object, trained_with: Compressor | None) -> Compressor | None:
    """What shortens the history of an agent that acts: None for nothing, the whole window.

    >>> from keepmap.agents.compressors.recency import RecencyCompressor
    >>> acting_compressor("as_trained", RecencyCompressor(3)), acting_compressor("none", RecencyCompressor(3))
    (RecencyCompressor(keep_recent=3), None)

    Args:
        value: `AS_TRAINED`, `WHOLE_WINDOW` or None, or what `as_compressor` takes.
        trained_with: the compressor of the agent's training.

    Raises:
        InputError: it is none of these, or there is no compressor of this name.
    """
    if isinstance(value, str) and value in (AS_TRAINED, WHOLE_WINDOW):
        return trained_with if value == AS_TRAINED else None
    return as_compressor(value)
