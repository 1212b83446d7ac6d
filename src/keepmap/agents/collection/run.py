"""A collection that survives: each block of goals is kept in a folder beside the file until the file is there."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keepmap.agents.collection.collect import (
    Collected,
    Collection,
    collected_in,
    goal_blocks,
    learned,
    require_histories,
    writing,
)
from keepmap.agents.collection.dataset import Histories, open_histories
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.core.files import make_folder, remove_files
from keepmap.core.joining.plugins import plugins_with
from keepmap.core.progress import Progress
from keepmap.core.runs.folder import RunFolder, read_run_file
from keepmap.core.runs.hashes import hash_of_files
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.lock import is_taken, remove_left_over
from keepmap.core.runs.records import read_record, write_record
from keepmap.core.versions import versions
from keepmap.errors import InputError

__all__ = ["SUFFIX", "CollectionRun"]

SUFFIX = ".run"
"""What the folder of a run is called, after its file."""
BLOCKS = "blocks"


class CollectionRun:
    """A collection and its folder. A block is a file of histories with some of the goals, and a record that it counts.

    Attributes:
        collection: what is collected.
        folder: of the run: the name of the file and ".run".
        n_goals: how many there are, of which the blocks of an earlier start hold `n_reused`; known after `begin`.
        was_finished: whether the file was there; known after `begin`, too.
    """

    def __init__(
        self, collection: Collection, *, overwrite: bool = False, option: str = "`out`", waits: bool = False
    ) -> None:
        self.collection, self.folder = collection, collection.path.with_name(collection.path.name + SUFFIX)
        self._blocks = goal_blocks(collection)
        self.n_goals, self.n_reused, self.was_finished = sum(map(len, self._blocks)), 0, False
        self._overwrite, self._option = overwrite, option
        earlier = read_run_file(self.folder)
        # Of a run that is finished and whose file is gone nothing is left to be lost.
        is_gone = earlier is not None and earlier.finished and not collection.path.exists()
        self._place = RunFolder(
            self.folder, _identity(collection), overwrite=overwrite or is_gone, option=option, waits=waits
        )

    def __enter__(self) -> "CollectionRun":
        return self

    def __exit__(self, *error: object) -> None:
        self._place.__exit__(*error)

    @property
    def is_going_on(self) -> bool:
        """Whether a process is at work on it now."""
        return is_taken(self.folder)

    def check(self) -> None:
        """Refuse a folder of another run, and a file that holds anything else, before any work; nothing is written.

        Raises:
            InputError: it is another run's, or holds other histories; or a process is at work there.
            OutputError: the file is none of histories.
        """
        self._place.check()
        self._holds_all()

    def begin(self) -> None:
        """Take the folder, and see what an earlier start has left in it.

        Raises:
            InputError, OutputError: as `check`, or the folder cannot be written.
        """
        records = [self._record(goals) for goals in self._blocks]
        files = [self._histories(goals) for goals in self._blocks]
        path = self.collection.path
        was_finished = self._holds_all()
        self._place.begin(records, files)
        remove_left_over(path.parent)
        if self._place.goes_on:  # what it was once nobody else was at work there
            was_finished = self._place.was_finished
        self.was_finished = was_finished and path.exists() and self._difference() is None
        if not self.was_finished:
            self.n_reused = sum(len(goals) for goals in self._blocks if self._is_done(goals))

    def collect(self, progress: Progress | None = None) -> Collected:
        """Collect what is left, and write the file; its bytes are those of a collection that was never stopped.

        Args:
            progress: called with the share of the steps that are done.

        Raises:
            InputError: as `collect_histories`.
            OutputError: a block or the file cannot be written.
        """
        begun, done = time.perf_counter(), 0
        if not self.was_finished:
            make_folder(self.folder / BLOCKS)
            for goals in self._blocks:
                if not self._is_done(goals):
                    self._do(goals, done, progress)
                done += len(goals)
            self._join()
        self._place.finish(releases=True)
        remove_files(
            self.folder / name for goals in self._blocks for name in (self._record(goals), self._histories(goals))
        )
        with suppress(OSError):
            (self.folder / BLOCKS).rmdir()
        return collected_in(self.collection, time.perf_counter() - begun)

    def _do(self, goals: Sequence[Goal], done: int, progress: Progress | None) -> None:
        """Learn some goals, and keep them as a block."""

        def so_far(share: float) -> None:
            if progress is not None:
                progress((done + len(goals) * share) / self.n_goals)

        streams, learners = learned(self.collection, goals, so_far), self.collection.learners
        path = self.folder / self._histories(goals)
        with writing(self.collection, path) as writer:
            for number, goal in enumerate(goals):
                writer.add(goal, streams.learners(slice(number * learners, (number + 1) * learners)))
        write_record(self.folder / self._record(goals), self._place.run, {"histories": _hash(path)})

    def _join(self) -> None:
        """Write the file, from the blocks."""
        with writing(self.collection, self.collection.path) as writer:
            for goals in self._blocks:
                histories = open_histories(self.folder / self._histories(goals))
                for position, goal in enumerate(histories.goals):
                    writer.add(goal, histories.read(position))

    def _is_done(self, goals: Sequence[Goal]) -> bool:
        record = read_record(self.folder / self._record(goals), self._place.run)
        path = self.folder / self._histories(goals)
        return record is not None and path.is_file() and record.get("histories") == _hash(path)

    def _holds_all(self) -> bool:
        """Whether the file is there and is what is to be collected; a run that is on its way may replace histories.

        Raises:
            InputError: it holds other histories, and `overwrite` was not given.
            OutputError: it holds none.
        """
        path, earlier = self.collection.path, read_run_file(self.folder)
        known = self._place.holds_it()
        if not path.exists() or (self._overwrite and not known):
            return False
        require_histories(path, self._overwrite)
        if known and earlier is not None and not earlier.finished:
            return False
        difference = self._difference()
        if difference is None:
            return True
        if self._overwrite:
            return False
        raise InputError(
            f"{path} holds other histories: {difference}; give `overwrite` to replace them, or another {self._option}"
        )

    def _difference(self) -> str | None:
        """In what the file's histories differ; None where they are those that are to be collected.

        Raises:
            InputError: it is damaged or none of histories, and `overwrite` was not given.
        """
        try:
            return _difference(self.collection.path, self.collection)
        except InputError:
            if self._overwrite:
                return "they cannot be read"
            raise

    def _record(self, goals: Sequence[Goal]) -> str:
        return f"{BLOCKS}/{self._name(goals)}.json"

    def _histories(self, goals: Sequence[Goal]) -> str:
        return f"{BLOCKS}/{self._name(goals)}.hdf5"

    def _name(self, goals: Sequence[Goal]) -> str:
        """After the numbers of the first goal and of the last."""
        first, last = (self.collection.room.index(goal) for goal in (goals[0], goals[-1]))
        return f"goals_{first:05}-{last:05}"


def _identity(collection: Collection) -> Identity:
    known_by = plugins_with(type(collection.source), type(collection.room))
    return Identity(
        verb="collect",
        options=_options(collection),
        versions=versions("numpy", "h5py"),
        hashes={"plugins": hash_of_files(known_by)},
    )


def _options(collection: Collection) -> dict[str, Any]:
    """What decides what is in the file, by the parameters that say so."""
    room, split = collection.room, collection.split
    return {
        **_facts_of(room),
        "source": collection.source.name,
        "settings": asdict(collection.source),
        "learners": collection.learners,
        "episodes": collection.episodes,
        "seed": collection.seed,
        "split": split.name,
        "split_seed": split.seed,
        "training goals": len(split.train),
    }


def _difference(path: Path, collection: Collection) -> str | None:
    """How the histories in a file differ from those that are to be collected; None for the same."""
    held = open_histories(path)
    wanted = {**_options(collection), "goals": sorted(map(list, collection.split.train))}
    there = {**_held(held), "goals": sorted(map(list, held.goals))}
    return _plain(there).difference_to(_plain(wanted))


def _held(histories: Histories) -> dict[str, Any]:
    room = histories.room
    return {
        **_facts_of(room),
        "source": histories.source,
        "settings": dict(histories.options),
        "learners": histories.n_learners,
        "episodes": histories.n_steps // room.horizon,
        "seed": histories.seed,
        "split": histories.split,
        "split_seed": histories.split_seed,
        "training goals": len(histories),
    }


def _facts_of(world: World) -> dict[str, Any]:
    """What world it is; "episodes of bandit" are those of a life, and not of what is collected."""
    named = {"environment": world.name}
    if world.life is None:
        return named | world.options
    return named | {f"{option} of {world.name}": value for option, value in world.options.items()}


def _plain(options: Mapping[str, Any]) -> Identity:
    """Of what a file of histories says alone."""
    return Identity(verb="collect", options=options, versions={}, hashes={})


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
