"""The units of work of a run: what is recorded is read, everything else is done, and recorded before it counts."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from keepmap.core.files import make_folder
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.index import add_to_index, complete_index
from keepmap.core.runs.records import read_record, write_record

__all__ = ["Once", "Recorded", "Units", "every_time"]

Value = TypeVar("Value")
Once = Callable[[str, Callable[[], Any]], Any]
"""Told what a unit is called and what does it: gives its result as JSON values, of now or of an earlier start."""
Recorded = Callable[[Sequence[str]], Once]
"""Told the names of all units that are going to be asked for."""


def every_time(name: str, work: Callable[[], Any]) -> Any:
    """Of work whose results nobody keeps.

    >>> every_time("sum", lambda: 1 + 1)
    2
    """
    return work()


class Units:
    """The units of a run that has begun.

    Attributes:
        n_done: how many have a record, of those that were there when it began and those that were done since.
    """

    def __init__(self, place: RunFolder, names: Sequence[str]) -> None:
        self._place = place
        for folder in sorted({(place.folder / name).parent for name in names}):
            make_folder(folder)
        recorded = list(filter(self.has, names))
        complete_index(place.folder, recorded)
        self.n_done = len(recorded)

    def has(self, name: str) -> bool:
        """Whether a unit has a record of this run."""
        return read_record(self._place.folder / name, self._place.run) is not None

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """A unit's result as JSON values: from its record, where there is one of this run, else by doing it.

        Raises:
            OutputError: its record cannot be written.
        """
        return self.value(name, work, lambda value: value, lambda value: value)

    def value(
        self, name: str, work: Callable[[], Value], as_json: Callable[[Value], Any], of_json: Callable[[Any], Value]
    ) -> Value:
        """As `once`, of a value that is written and read by these; `of_json` raises ValueError where it is none.

        Raises:
            OutputError: its record cannot be written.
        """
        path: Path = self._place.folder / name
        record = read_record(path, self._place.run)
        if record is not None:
            try:
                return of_json(record["value"])
            except (ValueError, TypeError, KeyError):
                self.n_done -= 1
        begun = time.perf_counter()
        value = work()
        write_record(path, self._place.run, {"value": as_json(value)})
        self.n_done += 1
        add_to_index(self._place.folder, name, time.perf_counter() - begun)
        return value
