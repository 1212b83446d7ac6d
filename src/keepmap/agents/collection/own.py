"""Learning histories of one's own arrays, as a file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keepmap.agents.collection.collect import require_histories
from keepmap.agents.collection.dataset import Histories, Streams, open_histories, stored_type, writing_histories
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.agents.families import world_named
from keepmap.core.arguments import as_flag, as_integers, as_path
from keepmap.core.files import make_folder
from keepmap.errors import InputError, kind_of

__all__ = ["OWN", "write_histories"]

OWN = "own"
"""What such a file says of its source and its split."""
PARTS = ("states", "actions", "rewards", "next_states")
LARGEST_REWARD = 255


def write_histories(
    path: str | Path,
    histories: Mapping[Goal, Mapping[str, object] | Streams],
    environment: str | World | type[World] = "darkroom",
    *,
    size: int | None = None,
    horizon: int | None = None,
    overwrite: bool = False,
) -> Histories:
    """Write what your own learners saw in a world; `keepmap train --set histories=FILE` trains an agent on it.

    >>> import keepmap, numpy as np, tempfile
    >>> walk = np.array([[0, 0], [0, 1], [0, 2], [0, 2]] * 5)  # (T, S): one learner, five episodes of four steps
    >>> lives = {
    ...     "states": walk, "actions": np.tile([3, 3, 4, 4], 5), "rewards": np.tile([0, 1, 1, 1], 5),
    ...     "next_states": np.array([[0, 1], [0, 2], [0, 2], [0, 2]] * 5),
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     histories = keepmap.write_histories(f"{folder}/own.hdf5", {(0, 2): lives}, size=3, horizon=4)
    >>> histories.goals, histories.n_steps, histories.n_learners
    (((0, 2),), 20, 1)

    Args:
        path: of the file. Histories that are there are replaced.
        histories: of each goal (of a family, task number) the arrays states and next_states [T, n, S], actions and
            rewards [T, n], of n learners over T steps; of one learner [T, S] and [T]. All numbers are whole, rewards 0
            to 255. T is a multiple of the horizon, since each episode has as many steps; and as many steps and learners
            are of each goal.
        environment: a room's or family's name, or a world.
        size, horizon: of a room, as in `collect`.
        overwrite: whether a file that holds no histories is written over, too.

    Returns:
        The file, opened.

    Raises:
        InputError: no such world or goal, or arrays that cannot be of it; names goal and array.
        OutputError: the file cannot be written, or a file that holds no histories is there.
    """
    world, path = world_named(environment, size, horizon), as_path("path", path)
    as_flag("overwrite", overwrite)
    if not isinstance(histories, Mapping) or not histories:
        given = "an empty one" if isinstance(histories, Mapping) else kind_of(histories)
        raise InputError(f"expected `histories` to be a dictionary from goals to arrays, got {given}")
    streams = {}
    for key, arrays in histories.items():
        goal = tuple(as_integers("histories", key))
        world.index(goal, "histories")
        streams[goal] = _streams(world, goal, arrays)
    shapes = {stream.actions.shape for stream in streams.values()}
    if len(shapes) > 1:
        raise InputError(
            f"expected `histories` to have as many steps and learners of each goal, got {sorted(shapes)}; cut them"
        )
    if path.is_dir():
        raise InputError(f"expected `path` to be the name of a file, got the folder {path}")
    require_histories(path, overwrite)
    make_folder(path.parent)
    with writing_histories(path, world, source=OWN, seed=0, options={}, split=OWN, split_seed=0) as file:
        for goal in sorted(streams, key=world.index):
            file.add(goal, streams[goal])
    return open_histories(path)


def _streams(world: World, goal: Goal, arrays: Mapping[str, object] | Streams) -> Streams:
    given = {name: getattr(arrays, name) for name in PARTS} if isinstance(arrays, Streams) else arrays
    if not isinstance(given, Mapping) or set(given) != set(PARTS):
        names = ", ".join(map(str, given)) if isinstance(given, Mapping) else kind_of(given)
        raise InputError(f"expected `histories` of goal {goal} to have {', '.join(PARTS)}, got {names:.200}")
    numbers = len(world.observation_sizes)
    parts = {name: np.asarray(given[name]) for name in PARTS}
    if parts["actions"].ndim == 1:
        parts = {name: part[:, None] for name, part in parts.items()}
    if numbers == 1 and parts["states"].ndim == 2:
        parts |= {name: parts[name][..., None] for name in ("states", "next_states")}
    shape = parts["actions"].shape
    sizes = {"actions": (world.n_actions,), "rewards": (LARGEST_REWARD + 1,)}
    for name, part in parts.items():
        where, expected = f"{name} of goal {goal}", (*shape, numbers) if "states" in name else shape
        if part.dtype.kind not in "biuf" or len(shape) != 2 or not part.size or part.shape != expected:
            raise InputError(
                f"expected {where} in `histories` to be numbers of the shape (T, n{', ' * ('states' in name)}"
                f"{numbers if 'states' in name else ''}), got {part.dtype} of {part.shape}; actions have {shape}"
            )
        limits = np.array(sizes.get(name, world.observation_sizes))
        flat = part.reshape(-1, len(limits))
        if not (
            np.isfinite(flat).all() and (flat == np.round(flat)).all() and (flat >= 0).all() and (flat < limits).all()
        ):
            raise InputError(
                f"expected {where} in `histories` to be whole numbers of 0 to {limits.max() - 1}, as in {world.title}, "
                f"got {flat.min():g} to {flat.max():g}"
            )
    if shape[0] % world.horizon:
        raise InputError(
            f"expected `histories` of goal {goal} to be whole episodes of {world.horizon} steps, got {shape[0]} steps"
        )
    dones = np.zeros(shape, dtype=np.bool_)
    dones[world.horizon - 1 :: world.horizon] = True
    led_elsewhere = (parts["next_states"][:-1] != parts["states"][1:]).any(axis=2) & ~dones[:-1]
    if led_elsewhere.any():
        step = int(np.flatnonzero(led_elsewhere.any(axis=1))[0])
        raise InputError(
            f"expected next_states of goal {goal} in `histories` to be the states of the step after it, got others at "
            f"step {step} (from 0) of {shape[0]}"
        )
    small = stored_type(world)
    return Streams(
        states=parts["states"].astype(small),
        actions=parts["actions"].astype(small),
        rewards=parts["rewards"].astype(np.uint8),
        next_states=parts["next_states"].astype(small),
        dones=dones,
    )
