"""Learning histories on disk: one HDF5 group per goal, written whole, read in slices."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Integer, UInt8

from keepmap.agents.collection.pieces import group_names, require_modest_pieces, require_packed_pieces
from keepmap.agents.collection.stored import require_room_for, stored_array, stored_facts, stored_file
from keepmap.agents.environments.goals import OLD_NAMES, Goal
from keepmap.agents.environments.room import Room
from keepmap.agents.environments.world import World
from keepmap.agents.families import world_named
from keepmap.core.arguments import as_integer, as_path, shown
from keepmap.core.html import card
from keepmap.core.runs.records import write_synced
from keepmap.errors import InputError, escaped, kind_of

__all__ = [
    "Histories",
    "HistoryWriter",
    "Streams",
    "bytes_of",
    "open_histories",
    "stored_type",
    "writing_histories",
]

FORMAT = "keepmap-histories"
SCHEMA_VERSION = 2
OF_ROOMS = 1
"""The version of a file of a dark room's histories, which earlier versions of keepmap read, too."""
EVERYTHING = slice(None)
CHUNK = (256, 32)  # steps, learners


@dataclass(frozen=True)
class Streams:
    """What n learners saw, step after step, over T steps of consecutive episodes.

    `next_states` holds what a step led to, at an episode's end too: never the first state of the next episode. `dones`
    is true at an episode's last step, time limits included.
    """

    states: Integer[np.ndarray, "T n S"]
    actions: Integer[np.ndarray, "T n"]
    rewards: UInt8[np.ndarray, "T n"]
    next_states: Integer[np.ndarray, "T n S"]
    dones: Bool[np.ndarray, "T n"]

    def __repr__(self) -> str:
        return f"Streams({self.actions.shape[0]:,} steps x {self.actions.shape[1]} learners)"

    def learners(self, which: slice) -> "Streams":
        """The same steps of some of the learners."""
        return Streams(**{field.name: getattr(self, field.name)[:, which] for field in fields(self)})


NAMES = tuple(field.name for field in fields(Streams))
PAIRS = ("states", "next_states")


def stored_type(world: World) -> "np.dtype[Any]":
    """The type of the states and actions of a world: one byte where that holds them."""
    return np.dtype(np.uint8 if max(*world.observation_sizes, world.n_actions) <= 256 else np.int32)


def bytes_of(world: World) -> int:
    """What a transition takes: two states, an action, a reward, an end."""
    return (2 * len(world.observation_sizes) + 1) * stored_type(world).itemsize + 2


class HistoryWriter:
    """Adds one goal after the other to a file that is being written; see `writing_histories`."""

    def __init__(self, file: h5py.File, room: World) -> None:
        self._file = file
        self._room = room
        self._goals: list[Goal] = []

    def add(self, goal: Goal, streams: Streams) -> None:
        """Write the learners of one goal as the group of the goal's number.

        Raises:
            InputError: the room has no such goal.
        """
        group = self._file.create_group(str(self._room.index(goal)))
        for name in NAMES:
            values = getattr(streams, name)
            group.create_dataset(
                name,
                data=values,
                chunks=tuple(min(most, size) for most, size in zip(CHUNK, values.shape, strict=False))
                + values.shape[2:],
                compression="gzip",
                compression_opts=4,
                fletcher32=True,
                shuffle=False,
                track_times=False,
            )
        self._goals.append(goal)

    def close(self) -> None:
        """Write which goals there are, in the order of their numbers."""
        goals = sorted(self._goals, key=self._room.index)
        # Numbers of tasks are larger than those of cells.
        self._file.attrs["goals"] = np.array(goals, dtype=np.uint8 if isinstance(self._room, Room) else np.int64)


@contextmanager
def writing_histories(
    path: Path, room: World, *, source: str, seed: int, options: Mapping[str, Any], split: str, split_seed: int
) -> Iterator[HistoryWriter]:
    """Write a file of histories whole or not at all; the same content gives the same bytes.

    Raises:
        OutputError: it cannot be written.
    """
    # HDF5 crashes the process when the disk is full: the (small) file is made in memory, and only then written. Its
    # format of 1.10 holds many small groups in an eighth of the space.
    with h5py.File(
        path.name, "w", driver="core", backing_store=False, libver=("v110", "v110"), track_order=False
    ) as file:
        facts: dict[str, str | int] = {
            "format": FORMAT,
            **_facts_of(room),
            "source": source,
            "seed": seed,
            "options": json.dumps(dict(options), sort_keys=True),
            "split": split,
            "split_seed": split_seed,
        }
        for name, value in facts.items():
            # A text of fixed length lies where HDF5 has a checksum; one of any length lies where it has none.
            file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value
        writer = HistoryWriter(file, room)
        yield writer
        writer.close()
        file.flush()
        image = file.id.get_file_image()
    write_synced(path, image)


@dataclass(frozen=True, kw_only=True)
class Histories:
    """A file of histories: what is in it, and slices of it on demand. Nothing is kept open or in memory.

    Attributes:
        goals: in the order of their numbers; `histories[i]` and `read(i)` are the learners of goals[i].
        n_steps: T, of every goal.
        n_learners: of each goal.
        source, seed, options, split, split_seed: how it was made; None or empty where the file does not say.

    >>> import keepmap, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     histories = keepmap.collect("darkroom", size=3, learners=2, episodes=4, out=f"{folder}/small.hdf5")
    ...     streams = histories[0]
    >>> len(histories), streams.actions.shape  # steps of two learners of the first goal
    (8, (80, 2))
    """

    path: Path
    room: World
    goals: tuple[Goal, ...]
    n_steps: int
    n_learners: int
    source: str | None
    seed: int | None
    options: Mapping[str, Any]
    split: str | None
    split_seed: int | None

    def __repr__(self) -> str:
        source = "" if self.source is None else f";\n  {self.source}, seed {self.seed}, split {self.split}"
        return escaped(
            f"Histories({self.path}: {self.room.title}, {len(self)} goals, "
            f"{self.n_learners} learners of each, {self.n_steps:,} steps of each{source})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: a table of what the file says."""
        facts = {
            "room": f"{self.room.title}, episodes of {self.room.horizon} steps",
            "goals": f"{len(self)}",
            "learners of each goal": f"{self.n_learners}",
            "steps of each learner": f"{self.n_steps:,}",
            "source": "not said" if self.source is None else f"{self.source}, seed {self.seed}",
            "split": "not said" if self.split is None else f"{self.split}, seed {self.split_seed}",
        }
        return card(f"Histories {self.path}", ("", "value"), list(facts.items()))

    def __len__(self) -> int:
        return len(self.goals)

    def __getitem__(self, position: int) -> Streams:
        return self.read(position)

    def __iter__(self) -> Iterator[Streams]:
        return (self.read(position) for position in range(len(self)))

    def read(self, position: int, steps: slice = EVERYTHING, learners: slice = EVERYTHING) -> Streams:
        """The learners of goals[position], or some of them, over some of the steps; only these are read.

        Raises:
            IndexError: there is no goal at that position.
            InputError: a position that is no integer, steps or learners that are no slice forwards, or the file has
                changed or is damaged.
        """
        goal = self.goals[as_integer("position", position, None)]
        for name, part, size in (("steps", steps, self.n_steps), ("learners", learners, self.n_learners)):
            _check_slice(name, part, size)
        group = str(self.room.index(goal))
        with stored_file(self.path) as file:
            _shape(self.path, file, group, self.room)  # again: it may be another file by now
            for name in NAMES:
                require_packed_pieces(self.path, f"{name} of group {group}", file[group][name], steps, learners)
            parts = {name: file[group][name][steps, learners] for name in NAMES}
        return Streams(**{name: self._small(name, group, values) for name, values in parts.items()})

    def _small(self, name: str, group: str, values: np.ndarray) -> np.ndarray:
        if name == "dones":
            return values.astype(np.bool_)
        flat = {"actions": (self.room.n_actions,), "rewards": (256,)}
        largest = np.array(flat.get(name, self.room.observation_sizes)) - 1
        if values.size and (values.min() < 0 or (values.reshape(-1, len(largest)).max(axis=0) > largest).any()):
            raise InputError(
                f"{self.path}: {name} of group {group} hold {values.min()} to {values.max()}; they must lie in 0 to "
                f"{largest.max()}; name the environment that the file was made in"
            )
        smallest = np.dtype(np.uint8) if name == "rewards" else stored_type(self.room)
        with np.errstate(invalid="ignore"):  # NaN is none of them, and is found below
            small = values.astype(smallest)
        if not np.array_equal(small, values):
            raise InputError(f"{self.path}: {name} of group {group} are not whole numbers; collect the file again")
        return small


def _check_slice(name: str, part: object, size: int) -> None:
    try:
        forwards = isinstance(part, slice) and part.indices(size)[2] > 0
    except (TypeError, ValueError):  # a slice of no integers, or with a step of 0
        forwards = False
    if not forwards:
        raise InputError(f"expected `{name}` to be a slice forwards, such as slice(0, 10), got {shown(part)}")


def open_histories(path: str | Path | Histories, environment: str | None = None) -> Histories:
    """What a file of histories holds; its arrays are read when they are needed.

    `keepmap.collect` makes such a file. `histories[i]` are the learners of `histories.goals[i]`, `histories.read` reads
    some of their steps.

    >>> import tempfile
    >>> import keepmap
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     histories = keepmap.collect("darkroom", size=3, learners=2, episodes=4, out=f"{folder}/small.hdf5")
    ...     opened = keepmap.open_histories(f"{folder}/small.hdf5")
    ...     learners = opened[0]
    >>> opened.goals == histories.goals, len(opened), learners.actions.shape
    (True, 8, (80, 2))

    In files that the guide's own code made, an episode's last next state is the first state of the next episode.

    Args:
        path: of the file; Histories are given back as they are.
        environment: for files that do not say theirs (those of the guide's own code): "darkroom" by default.

    Raises:
        InputError: there is no such file, or it is truncated, damaged, of another kind or a newer version.
    """
    if isinstance(path, Histories):
        return path
    if not isinstance(path, str | Path):
        raise InputError(f"expected `path` to be a file of learning histories, got {kind_of(path)}")
    path = as_path("path", path)
    with stored_file(path) as file:
        described = "format" in file.attrs
        facts = stored_facts(path, file) if described else {}
        if described and facts["format"] != FORMAT:
            raise InputError(f"{path} is not a file of learning histories: its format is {facts['format']!r}")
        if described and facts["schema_version"] > SCHEMA_VERSION:
            raise InputError(
                f"{path} has version {facts['schema_version']} of its format, this keepmap reads {SCHEMA_VERSION}; "
                "update keepmap"
            )
        room = _room(path, facts, environment)
        names = group_names(path, file, len(room.goals))
        keys = sorted(names, key=lambda key: (not key.isdecimal(), int(key) if key.isdecimal() else 0, key))
        if not keys:
            raise InputError(f"{path} holds no histories; collect them with keepmap collect")
        for key in keys:
            if not key.isdecimal() or int(key) >= len(room.goals):
                raise InputError(
                    f'{path} has the group "{key}"; {room.title} numbers its goals 0 to {len(room.goals) - 1}'
                )
        lengths = {_shape(path, file, key, room) for key in keys}
        if len(lengths) > 1:
            raise InputError(f"{path} has groups of different shapes {sorted(lengths)}; collect them in one run")
        n_steps, n_learners = lengths.pop()
        goals = tuple(room.goals[int(key)] for key in keys)
        if described and goals != tuple(tuple(goal) for goal in np.asarray(facts["goals"]).tolist()):
            raise InputError(f"{path} lacks groups of goals that it names; collect it again")
        return Histories(
            path=path,
            room=room,
            goals=goals,
            n_steps=n_steps,
            n_learners=n_learners,
            source=str(facts["source"]) if described else None,
            seed=int(facts["seed"]) if described else None,
            options=_options(path, facts["options"]) if described else {},
            split=OLD_NAMES.get(str(facts["split"]), str(facts["split"])) if described else None,
            split_seed=int(facts["split_seed"]) if described else None,
        )


def _options(path: Path, text: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(text))
    except RecursionError:
        raise InputError(f"{path} is damaged: its options are nested too deeply; collect it again") from None


def _facts_of(room: World) -> dict[str, str | int]:
    """What a file says of its world."""
    named: dict[str, str | int] = {"environment": room.gymnasium_id}
    if isinstance(room, Room):
        return {"schema_version": OF_ROOMS, **named, "size": room.size, "horizon": room.horizon}
    return {"schema_version": SCHEMA_VERSION, **named, "world": json.dumps(room.options, sort_keys=True)}


def _room(path: Path, facts: Mapping[str, Any], environment: str | None) -> World:
    if not facts:
        return world_named(environment or "darkroom")
    if "world" in facts:
        room = world_named(str(facts["environment"]), options=_options(path, facts["world"]))
    else:
        room = world_named(str(facts["environment"]), int(facts["size"]), int(facts["horizon"]))
    if environment is not None and type(world_named(environment)) is not type(room):
        raise InputError(f"expected histories of {environment}, got those of {room.name} in {path}")
    return room


def _shape(path: Path, file: h5py.File, key: str, room: World) -> tuple[int, int]:
    """T and n of a group, whose five arrays must agree on them."""
    arrays = {name: array for name in NAMES if (array := stored_array(path, file, key, name)) is not None}
    if missing := [name for name in NAMES if name not in arrays]:
        raise InputError(f"{path}: group {key} lacks {', '.join(missing)}; it must hold {', '.join(NAMES)}")
    shape, numbers = arrays["actions"].shape, len(room.observation_sizes)
    for name, array in arrays.items():
        expected = (*shape, numbers) if name in PAIRS else shape
        if len(shape) != 2 or min(shape) < 1 or array.shape != expected:
            raise InputError(
                f"{path}: {name} of group {key} have the shape {array.shape}; "
                f"actions are (steps, learners), states (steps, learners, {numbers})"
            )
    require_room_for(path, list(arrays.values()))
    for name, array in arrays.items():
        require_modest_pieces(path, f"{name} of group {key}", array)
    return shape
