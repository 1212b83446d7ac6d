"""Families of tasks, in which an agent lives through the episodes of a task that it does not know.

Importing this package registers them with Gymnasium:

    import gymnasium, keepmap.agents.families
    env = gymnasium.make("keepmap/RecallRoom-5x5-v0", task=3, render_mode="rgb_array")
    envs = gymnasium.make_vec("keepmap/Bandit-5-v0", num_envs=1000)
"""

from collections.abc import Sequence
from typing import Any

from keepmap.agents.families.either import copies_of, world_named
from keepmap.agents.families.expected import expected_returns
from keepmap.agents.families.registered import families, make_family
from keepmap.agents.families.single import FamilyEnv
from keepmap.agents.families.vector import FamilyVectorEnv
from keepmap.errors import InputError

__all__ = ["copies_of", "expected_returns", "families", "make_env", "make_family", "make_vector", "world_named"]


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


families()  # registers them with Gymnasium
