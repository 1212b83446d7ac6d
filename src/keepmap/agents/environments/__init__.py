"""Dark rooms: small worlds with a hidden goal, for agents that learn in context.

Importing this package registers them with Gymnasium:

    import gymnasium, keepmap.agents.environments
    env = gymnasium.make("keepmap/DarkRoom-9x9-v0", goal=(4, 2))
    envs = gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=1000)
"""

from collections.abc import Sequence
from dataclasses import replace

import gymnasium
from gymnasium.envs.registration import parse_env_id

from keepmap.agents.environments.goals import Goal, parse_cell
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.single import RoomEnv
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.core.arguments import as_integer, shown
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError, did_you_mean

__all__ = ["Goal", "Room", "environments", "make_env", "make_vector", "parse_cell", "room_named"]


def make_env(room: str, goal: Goal | None = None, size: int | None = None, horizon: int | None = None) -> RoomEnv:
    """What `gymnasium.make` calls: one copy of the room with this name.

    Raises:
        InputError: no such room or goal.
    """
    return RoomEnv(room_named(room, size, horizon), goal)


def make_vector(
    room: str,
    num_envs: int = 1,
    goals: Sequence[Goal] | None = None,
    size: int | None = None,
    horizon: int | None = None,
    goal: Goal | None = None,
) -> RoomVectorEnv:
    """What `gymnasium.make_vec` calls: `num_envs` copies of the room.

    Copy i has goals[i], all copies have `goal`, or each draws its own.

    Raises:
        InputError: no such room or goal, another number of goals than copies, or both `goal` and `goals`.
    """
    rules = room_named(room, size, horizon)
    if goal is None:
        return RoomVectorEnv(rules, num_envs, goals)
    if goals is not None:
        raise InputError("expected one of `goal`, of all copies, and `goals`, one for each, got both; leave one out")
    rules.index(goal)
    return RoomVectorEnv(rules, num_envs, [goal] * as_integer("num_envs", num_envs, 1))


def _check(room: type[Room]) -> None:
    try:
        parse_env_id(room.gymnasium_id)
    except gymnasium.error.Error:
        raise InputError(
            f'its gymnasium_id is "{room.gymnasium_id}"; expected one such as "mine/Room-5x5-v0"'
        ) from None
    if room.gymnasium_id in gymnasium.registry:
        raise InputError(f'its gymnasium_id "{room.gymnasium_id}" is taken; choose another')


def _register(room: type[Room]) -> None:
    gymnasium.register(
        room.gymnasium_id,
        entry_point=f"{__name__}:make_env",
        vector_entry_point=f"{__name__}:make_vector",
        kwargs={"room": room.name},
    )


def _unregister(room: type[Room]) -> None:
    del gymnasium.registry[room.gymnasium_id]


_ROOMS: Registry[Room] = Registry(
    "environment",
    Room,  # type: ignore[type-abstract]
    f"{__name__}.rooms",
    declares=("gymnasium_id", "every_step"),
    check=_check,
    joined=_register,
    left=_unregister,
)


def environments() -> dict[str, type[Room]]:
    """The rules of every room by name, in alphabetical order.

    >>> environments()["darkroom"].gymnasium_id
    'keepmap/DarkRoom-9x9-v0'
    """
    return _ROOMS.classes()


def room_named(name: str | Room | type[Room], size: int | None = None, horizon: int | None = None) -> Room:
    """The rules of a room; `size` and `horizon` are the room's own by default.

    >>> room_named("darkroom") == room_named(environments()["darkroom"]) == room_named(environments()["darkroom"]())
    True

    Args:
        name: of the room, its Gymnasium id, or a class that `environments` lists, or a room of it.

    Raises:
        InputError: there is none; names the closest.
    """
    sizes = {option: value for option, value in (("size", size), ("horizon", horizon)) if value is not None}
    cls = name if isinstance(name, type) else type(name)
    if issubclass(cls, Room):
        if cls not in environments().values():
            raise InputError(f"`environment` is of the class {cls.__name__}, which is not registered; load its plugin")
        return replace(name, **sizes) if isinstance(name, Room) else cls(**sizes)
    if not isinstance(name, str):
        raise InputError(f"expected `environment` to be a room, its name or a Gymnasium id, got {shown(name)}")
    rooms = environments()
    rooms |= {room.gymnasium_id: room for room in rooms.values()}
    if name not in rooms:
        raise InputError(f'unknown environment "{name}", {did_you_mean(name, rooms)}')
    return rooms[name](**sizes)


_ROOMS.classes()  # registers them with Gymnasium
