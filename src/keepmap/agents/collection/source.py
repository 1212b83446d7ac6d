"""What a source of learning histories is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from keepmap.agents.collection.dataset import Streams
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.world import World
from keepmap.core.arguments import check_options, shown
from keepmap.core.joining.options import as_options
from keepmap.core.joining.registry import Registry
from keepmap.core.progress import Progress
from keepmap.errors import InputError, did_you_mean

__all__ = ["Source", "as_source", "make_source", "source_class", "sources"]


@dataclass(frozen=True)
class Source(ABC):
    """A learning algorithm with its options, which are the fields of the dataclass.

    A file of its own in this folder with a subclass that has a `name` is all that a new one needs.

    >>> import keepmap
    >>> keepmap.sources()["optimistic"]()
    Optimistic(know_moves=False, epsilon=0.0)
    """

    name: ClassVar[str]
    usual_episodes: ClassVar[int]
    """After which the learners have come near their optimum."""
    at_once: ClassVar[int] = 2000
    """How many learners learn together, those of some goals: enough that the work of arrays outweighs the calls, few
    enough for the cache. With 1, goals are learned, and kept, one by one."""
    suits: ClassVar[type[World]] = Room  # type: ignore[type-abstract]  # of which it takes instances alone
    """The worlds in which its learners learn."""
    config_keys: ClassVar[Mapping[str, str | None]] = {}
    """Key of a configuration that this source understands -> the option that it is; None: a fact, to be checked."""

    def __post_init__(self) -> None:
        check_options(self)

    def check(self) -> None:
        """Whether the source can run here; called before any work.

        Raises:
            InputError: something that it needs is missing; says how to install it.
        """
        return

    def check_world(self, world: World) -> None:
        """Whether the learners can learn there.

        Raises:
            InputError: they cannot; says which sources can.
        """
        if not isinstance(world, self.suits):
            able = ", ".join(name for name, source in sources().items() if isinstance(world, source.suits))
            raise InputError(
                f"expected `source` to be one that learns in {world.name}: {able or 'none'}; got {self.name}"
            )

    @abstractmethod
    def learn(
        self,
        room: World,
        goals: Sequence[Goal],
        learners: int,
        episodes: int,
        seed: int,
        progress: Progress | None = None,
    ) -> Streams:
        """What `learners` independent learners of each goal see from their first step on.

        `progress` is called with the share of the steps that are done.

        A goal's learners depend on (options, seed, goal, learners, episodes) alone, not on the other goals of the call.

        Returns:
            T = episodes * horizon steps of n = len(goals) * learners learners, those of goals[0] first.
        """


def _check_config_keys(source: type[Source]) -> None:
    options = {option.name for option in fields(source)}
    for key, option in source.config_keys.items():
        if not str(key).isidentifier():
            raise InputError(f"its config_keys have the key {key!r}; expected letters, digits and _ alone")
        if option is not None and option not in options:
            raise InputError(f'its config_keys name the option "{option}", {did_you_mean(str(option), options)}')


_SOURCES: Registry[Source] = Registry(
    "source",
    Source,  # type: ignore[type-abstract]
    "keepmap.agents.collection.sources",
    declares=("usual_episodes",),
    check=_check_config_keys,
)


def sources() -> dict[str, type[Source]]:
    """Every source by name, in alphabetical order.

    >>> list(sources())
    ['keeper', 'optimistic', 'ppo', 'q_learning', 'rmax', 'seeker', 'ucb']
    """
    return _SOURCES.classes()


def source_class(name: str) -> type[Source]:
    """The source called `name`.

    Raises:
        InputError: there is none; names the closest.
    """
    return _SOURCES.named(name)


def make_source(name: str, options: Mapping[str, str | int | float | bool] | None = None) -> Source:
    """The source called `name` with these options; values may be text, as they come from a command line.

    Raises:
        InputError: no such source or option, or a value that the option cannot take.
    """
    return _SOURCES.make(name, options)


def as_source(source: object, options: Mapping[str, str | int | float | bool] | None = None) -> Source:
    """A source however it is given: a name, with these options, or one that has its own.

    Raises:
        InputError: it is neither, or as `make_source`; options beside a source.
    """
    if isinstance(source, str):
        return make_source(source, options)
    if not isinstance(source, Source):
        raise InputError(f"expected `source` to be a source or the name of one, got {shown(source)}")
    _SOURCES.check_value(source, "source")
    if given := as_options(options, "a source"):
        raise InputError(f"expected `options` to be empty beside a source that has its own, got {', '.join(given)}")
    return source
