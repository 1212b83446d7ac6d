"""Dark rooms: small worlds with a hidden goal, for agents that learn in context.

Importing this package registers them with Gymnasium:

    import gymnasium, keepmap.agents.environments
    env = gymnasium.make("keepmap/DarkRoom-9x9-v0", goal=(4, 2))
    envs = gymnasium.make_vec("keepmap/DarkRoom-9x9-v0", num_envs=1000)
"""

from importlib import import_module

import gymnasium

from keepmap.agents.environments.room import Room
from keepmap.errors import InputError, did_you_mean

__all__ = ["ROOMS", "room_named"]

_PACKAGE = "keepmap.agents.environments"

ROOMS = {
    "darkroom": ("dark_room", "DarkRoom"),
    "darkroom_hard": ("dark_room_hard", "DarkRoomHard"),
    "darkroom_permuted": ("dark_room_permuted", "DarkRoomPermuted"),
    "dark_key_to_door": ("dark_key_to_door", "DarkKeyToDoor"),
}
"""Name -> module and class of the rules."""

_IDS = {
    "keepmap/DarkRoom-9x9-v0": "darkroom",
    "keepmap/DarkRoomHard-17x17-v0": "darkroom_hard",
    "keepmap/DarkRoomPermuted-9x9-v0": "darkroom_permuted",
    "keepmap/DarkKeyToDoor-9x9-v0": "dark_key_to_door",
}


def room_named(name: str, size: int | None = None, horizon: int | None = None) -> Room:
    """The rules of the room with this name or Gymnasium id; `size` and `horizon` are the room's own by default.

    Raises:
        InputError: there is none; names the closest.
    """
    short = _IDS.get(name, name)
    if short not in ROOMS:
        raise InputError(f'unknown environment "{name}", {did_you_mean(name, [*ROOMS, *_IDS])}')
    module, rules = ROOMS[short]
    made: type[Room] = getattr(import_module(f"{_PACKAGE}.{module}"), rules)
    asked = {"size": size, "horizon": horizon}
    return made(**{key: value for key, value in asked.items() if value is not None})


for _id, _name in _IDS.items():
    _module, _rules = ROOMS[_name]
    gymnasium.register(
        _id,
        entry_point=f"{_PACKAGE}.{_module}:{_rules}Env",
        vector_entry_point=f"{_PACKAGE}.{_module}:{_module}_vector",
    )
