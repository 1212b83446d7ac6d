"""The registry of families, which makes each known to Gymnasium, too."""

from typing import Any

import gymnasium

from keepmap.agents.families.family import Family
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError

__all__ = ["families", "make_family"]

PACKAGE = "keepmap.agents.families"


def _register(family: type[Family]) -> None:
    if family.gymnasium_id in gymnasium.registry:
        raise InputError(f'its gymnasium_id "{family.gymnasium_id}" is taken; choose another')
    gymnasium.register(
        family.gymnasium_id,
        entry_point=f"{PACKAGE}:make_env",
        vector_entry_point=f"{PACKAGE}:make_vector",
        kwargs={"family": family.name},
    )


def _unregister(family: type[Family]) -> None:
    del gymnasium.registry[family.gymnasium_id]


_FAMILIES: Registry[Family] = Registry(
    "family",
    Family,  # type: ignore[type-abstract]
    f"{PACKAGE}.worlds",
    declares=("gymnasium_id",),
    joined=_register,
    left=_unregister,
)


def families() -> dict[str, type[Family]]:
    """Every family of tasks by name, in alphabetical order.

    >>> list(families())
    ['bandit', 'linear_bandit', 'moving_goal', 'random_mdp', 'recall_room']
    """
    return _FAMILIES.classes()


def make_family(name: str, **options: Any) -> Family:
    """The family called `name` with these options.

    >>> family = make_family("recall_room", size=5)
    >>> family.optimal_return([3])[0].tolist()  # nothing pays before the last episode
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]

    Raises:
        InputError: no such family or option, or a value that the option cannot take.
    """
    return _FAMILIES.make(name, options)
