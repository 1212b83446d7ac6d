"""Families of tasks, in which an agent lives through the episodes of a task that it does not know.

Importing this package registers them with Gymnasium:

    import gymnasium, keepmap.agents.families
    env = gymnasium.make("keepmap/RecallRoom-5x5-v0", task=3, render_mode="rgb_array")
    envs = gymnasium.make_vec("keepmap/Bandit-5-v0", num_envs=1000)
"""

from collections.abc import Sequence
from typing import Any

import gymnasium

from keepmap.agents.families.family import Family
from keepmap.agents.families.single import FamilyEnv
from keepmap.agents.families.vector import FamilyVectorEnv
from keepmap.core.joining.registry import Registry
from keepmap.errors import InputError

__all__ = ["families", "make_env", "make_family", "make_vector"]


def make_env(family: str, task: int | None = None, render_mode: str | None = None, **options: Any) -> FamilyEnv:
    """What `gymnasium.make` calls: one copy of the family with this name and these options.

    Raises:
        InputError: no such family, option or task.
    """
    return FamilyEnv(make_family(family, **options), task, render_mode)


def make_vector(
    family: str, num_envs: int = 1, tasks: Sequence[int] | None = None, task: int | None = None, **options: Any
) -> FamilyVectorEnv:
    """What `gymnasium.make_vec` calls: `num_envs` copies of the family.

    Copy i has tasks[i], all copies have `task`, or each draws its own.

    Raises:
        InputError: no such family, option or task, another number of tasks than copies, or both `task` and `tasks`.
    """
    if task is not None and tasks is not None:
        raise InputError("expected one of `task`, of all copies, and `tasks`, one for each, got both; leave one out")
    return FamilyVectorEnv(make_family(family, **options), num_envs, tasks if task is None else [task] * num_envs)


def _register(family: type[Family]) -> None:
    if family.gymnasium_id in gymnasium.registry:
        raise InputError(f'its gymnasium_id "{family.gymnasium_id}" is taken; choose another')
    gymnasium.register(
        family.gymnasium_id,
        entry_point=f"{__name__}:make_env",
        vector_entry_point=f"{__name__}:make_vector",
        kwargs={"family": family.name},
    )


def _unregister(family: type[Family]) -> None:
    del gymnasium.registry[family.gymnasium_id]


_FAMILIES: Registry[Family] = Registry(
    "family",
    Family,  # type: ignore[type-abstract]
    f"{__name__}.worlds",
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


_FAMILIES.classes()  # registers them with Gymnasium
