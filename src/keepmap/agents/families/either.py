"""Dark rooms and families alike, for those who only need a world: by name, and copies of one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from gymnasium.vector import VectorEnv

from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.environments.world import World
from keepmap.agents.families.family import Family
from keepmap.agents.families.registered import families, make_family
from keepmap.agents.families.vector import FamilyVectorEnv
from keepmap.core.arguments import shown
from keepmap.errors import InputError, did_you_mean

__all__ = ["copies_of", "world_named"]


def world_named(
    name: str | World | type[World],
    size: int | None = None,
    horizon: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> World:
    """A room or a family; `size` and `horizon` are its own by default.

    >>> world_named("recall_room", size=7).goals[-1]
    (47,)

    Args:
        name: of a room or a family, its Gymnasium id, its class, or one of it.
        options: of a family, others than these two.

    Raises:
        InputError: there is none, or it lacks such an option; names the closest.
    """
    named = {cls.gymnasium_id: cls for cls in families().values()} | families()
    family = named.get(name) if isinstance(name, str) else name
    given = {option: value for option, value in (("size", size), ("horizon", horizon)) if value is not None}
    if isinstance(family, Family):
        _check_options(type(family), {*given, *(options or ())})
        return replace(family, **given, **(options or {}))
    if isinstance(family, type) and issubclass(family, Family):
        _check_options(family, given)
        return make_family(family.name, **given, **(options or {}))
    if options:
        of = name if isinstance(name, str) else shown(name)
        raise InputError(f"expected no options of {of}, which has a size and a horizon alone, got {options}")
    rooms = {room.gymnasium_id: room for room in environments().values()} | environments()
    if isinstance(name, str) and name not in rooms:
        raise InputError(f'unknown environment "{name}", {did_you_mean(name, rooms | named)}')
    return room_named(name, size, horizon)  # type: ignore[arg-type]  # it refuses what is no room


def copies_of(world: World, goals: Sequence[Goal]) -> "VectorEnv[Any, Any, Any]":
    """A copy of a world for each of some goals."""
    if isinstance(world, Family):
        return FamilyVectorEnv(world, len(goals), [world.index(goal) for goal in goals])
    assert isinstance(world, Room), f"{world} is neither a room nor a family"
    return RoomVectorEnv(world, len(goals), goals)


def _check_options(family: type[Family], given: Iterable[str]) -> None:
    known = {field.name for field in fields(family)}
    for option in given:
        if option not in known:
            raise InputError(f'unknown option "{option}" of the family {family.name}, {did_you_mean(option, known)}')
