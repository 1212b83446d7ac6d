"""The folder of a run: `run.json` says which run it holds; the same one goes on there, another one is refused."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keepmap.core.files import make_folder, remove_files, require_folder
from keepmap.core.runs.command import command
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.lock import alone_in, refuse_taken, remove_left_over
from keepmap.core.runs.own import has_made, is_name
from keepmap.core.runs.records import read_record, write_record
from keepmap.core.storage.own import is_blank
from keepmap.errors import InputError

__all__ = ["RUN_FILE", "RunFile", "RunFolder", "read_run_file"]

RUN_FILE = "run.json"
FORMAT = "keepmap-run/1"


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What `run.json` says.

    Attributes:
        identity: which run the folder holds; `run` is what its records call it.
        command: the words that go on with it, none where it was called from Python; `cwd` is where they were typed.
        units: paths of the records of its units of work, relative to the folder, whether they are there yet or not.
        files: the other files that it makes, in the same way.
        finished: whether all of them are there.
        patterns: of files that it makes under names that are not known before: "ckpt-[0-9]*/model.safetensors".
        steps: of a run that is one long unit: how many it has.
        done: of these, how many are; None where it is not said, and a folder `ckpt-N` is there when N are.
        released: whether it is finished and keeps no records: its result holds what they held.
    """

    identity: Identity
    run: str
    command: tuple[str, ...]
    cwd: str
    units: tuple[str, ...]
    files: tuple[str, ...]
    finished: bool
    patterns: tuple[str, ...] = ()
    steps: int | None = None
    done: int | None = None
    released: bool = False

    def document(self) -> dict[str, Any]:
        """It as JSON values."""
        return {
            "format": FORMAT,
            "id": self.run,
            "finished": self.finished,
            "command": list(self.command),
            "cwd": self.cwd,
            **self.identity.document(),
            "files": list(self.files),
            "patterns": list(self.patterns),
            "steps": self.steps,
            "done": self.done,
            "released": self.released,
            "units": list(self.units),
        }


def read_run_file(folder: Path) -> RunFile | None:
    """Which run a folder holds; None where no `run.json` of keepmap's is in it, or one that is a link."""
    path = folder / RUN_FILE
    document = None if os.path.islink(path) else read_record(path)
    if document is None or document.get("format") != FORMAT:
        return None
    try:
        names = {key: tuple(document.get(key, ())) for key in ("command", "units", "files", "patterns")}
        steps, done = (value if isinstance(value := document.get(key), int) else None for key in ("steps", "done"))
        if not all(isinstance(name, str) for words in names.values() for name in words):
            return None
        if not all(map(is_name, (*names["units"], *names["files"]))) or not all(
            is_name(name, pattern=True) for name in names["patterns"]
        ):
            return None  # it leads out of the folder, or nowhere
        return RunFile(
            identity=Identity.from_document(document),
            run=str(document["id"]),
            cwd=str(document["cwd"]),
            finished=document["finished"] is True,
            steps=steps,
            done=done,
            released=document.get("released") is True,
            **names,
        )
    except (KeyError, TypeError, ValueError):
        return None


class RunFolder:
    """A run in its folder, from the check before any work to its last file; nobody else works there meanwhile.

    As a context: what it has of the folder is given back at the end, whatever happens.

    Attributes:
        folder: where it works. identity: which run it is.
        overwrite: whether another run's results may be removed, and foreign files of the same names replaced.
        option: what names the folder, in messages. waits: whether it waits for a process that is at work there.
        patterns, steps: as `RunFile` has them.
        goes_on: whether the folder holds this run already; known after `begin`.
        was_finished: whether all of it was there.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        overwrite: bool,
        option: str = "`output_dir`",
        waits: bool = False,
        patterns: Sequence[str] = (),
        steps: int | None = None,
    ) -> None:
        self.folder, self.identity, self.overwrite = folder, identity, overwrite
        self.goes_on = self.was_finished = False
        self._option, self._waits = option, waits
        self._patterns, self._steps, self._adopts = tuple(patterns), steps, False
        self._run = identity.digest()
        self._file: RunFile | None = None
        self._what = f"`keepmap {identity.verb}`"
        self._held = ExitStack()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    @property
    def run(self) -> str:
        """What its records call it: the digest of what was known of it before it began."""
        return self._run

    def check(self, names: Iterable[str] = ()) -> None:
        """Refuse a folder of another run before any work; nothing is written.

        Args:
            names: of files that are going to be written, as far as they are known: somebody else's are refused, too.

        Raises:
            InputError: it holds another run or such a file, and `overwrite` was not given; one of the files is a
                symbolic link; or a process is at work.
            OutputError: it is no folder and cannot become one, or it is not writable.
        """
        require_folder(self.folder, self._option)
        if not self._waits:
            refuse_taken(self.folder, self._what, self._option)
        self._refuse_links(names := tuple(names))
        earlier = read_run_file(self.folder)
        self._refuse(earlier)
        if earlier is None and not self._adopts:
            self._refuse_foreign(names)
        elif earlier is not None:
            self._refuse_strange(self._strange(names))

    def holds_it(self) -> bool:
        """Whether the folder holds this run by now, as far as it is known."""
        earlier = read_run_file(self.folder)
        return earlier is not None and earlier.identity.difference_to(self.identity) is None

    def adopt(self) -> None:
        """Take the folder to hold this run where it has no `run.json`: as an older keepmap left it."""
        self._adopts = True

    def begin(
        self,
        units: Sequence[str],
        files: Sequence[str],
        **hashes: str,
    ) -> None:
        """Take the folder for this run: with `overwrite` what another run made is removed, and nothing else.

        Args:
            units, files: as `RunFile` has them. Of the same run's earlier start, files that are none of these go.
            hashes: what is known of its input by now.

        Raises:
            InputError: as `check`, somebody else is at work there, or foreign files have these names.
            OutputError: the folder cannot be written.
        """
        make_folder(self.folder)
        with ExitStack() as held:
            held.enter_context(alone_in(self.folder, self._what, self._option, waits=self._waits))
            for parent in sorted({(self.folder / name).parent for name in (*units, *files)} - {self.folder}):
                remove_left_over(parent)
            self._take(units, files, hashes)
            self._held = held.pop_all()

    def _take(self, units: Sequence[str], files: Sequence[str], hashes: Mapping[str, str]) -> None:
        self._refuse_links((*files, *units))
        patterns: Sequence[str] = self._patterns
        self.identity = self.identity.with_hashes(**hashes)
        earlier = read_run_file(self.folder)
        self._refuse(earlier)
        same = earlier is not None and earlier.identity.difference_to(self.identity) is None
        strange = list[Path]()
        if earlier is None and not self._adopts:
            self._refuse_foreign([*files, *units])
            remove_files(self.folder / name for name in files)
            self._remove_matching(patterns if self.overwrite else ())
        elif earlier is not None and not same:
            self._remove(earlier)
            remove_files(self.folder / name for name in files)
        elif earlier is not None:
            # Beside a unit's record lies what belongs to it; if that is damaged, the unit is done again.
            of_units = {Path(name).parent for name in units} - {Path()}
            strange = self._strange(name for name in files if Path(name).parent not in of_units)
            self._refuse_strange(strange)
            remove_files([*strange, *self._own(set(earlier.files) - set(files))])
            # What is not known today, or not made, is of this run all the same.
            self.identity = self.identity.with_hashes(**{**earlier.identity.hashes, **self.identity.hashes})
            patterns = tuple(dict.fromkeys((*patterns, *earlier.patterns)))
            units = [*units, *self._recorded(earlier)]
        self.goes_on = same or (earlier is None and self._adopts)
        self.was_finished = same and earlier is not None and earlier.finished and not strange
        self._file = RunFile(
            identity=self.identity,
            run=self._run,
            command=command(),
            cwd=os.getcwd(),
            units=tuple(dict.fromkeys(units)),
            files=tuple(files),
            finished=False,
            patterns=tuple(patterns),
            steps=self._steps,
            done=earlier.done if same and earlier is not None else None,
        )
        self._write()

    def note(self, done: int) -> None:
        """Say how many of its steps are done.

        Raises:
            OutputError: `run.json` cannot be written.
        """
        assert self._file is not None
        self._file = replace(self._file, done=done)
        self._write()

    def add_units(self, units: Sequence[str]) -> None:
        """Units that are known by now only.

        Raises:
            InputError: one of them is a symbolic link.
            OutputError: `run.json` cannot be written.
        """
        assert self._file is not None
        self._refuse_links(units)
        self._file = replace(self._file, units=tuple(dict.fromkeys([*self._file.units, *units])))
        self._write()

    def finish(self, files: Sequence[str] | None = None, *, releases: bool = False) -> None:
        """Say that all of its files are there.

        Args:
            files: those that it has made, of those that `begin` was told of: the others are an earlier start's, and go.
            releases: whether its records may go from now on.

        Raises:
            OutputError: it cannot be written.
        """
        assert self._file is not None
        files = self._file.files if files is None else files
        remove_files(self._own(set(self._file.files) - set(files)))
        done = None if self._file.done is None else self._file.steps
        self._file = replace(self._file, finished=True, files=tuple(files), done=done, released=releases)
        self._write()

    def _write(self) -> None:
        assert self._file is not None
        write_record(self.folder / RUN_FILE, self._run, self._file.document())

    def _refuse(self, earlier: RunFile | None) -> None:
        if earlier is None or self.overwrite:
            return
        difference = earlier.identity.difference_to(self.identity)
        if difference is not None:
            raise InputError(
                f"{self.folder} holds another run: {difference}; give `overwrite` to replace it, or another "
                f"{self._option}"
            )

    def _refuse_links(self, names: Iterable[str]) -> None:
        """No file of a run is a link, and none is behind one: what it points to is somebody else's."""
        files = {self.folder / name for name in (RUN_FILE, *names)}
        folders = {parent for file in files for parent in file.parents if self.folder in parent.parents}
        for path in sorted(files | folders):
            if path.is_symlink():
                raise InputError(
                    f"{path} is a symbolic link, and results are not written through one; remove it, or give another "
                    f"{self._option}"
                )

    def _refuse_foreign(self, names: Iterable[str]) -> None:
        """What no `run.json` tells of was made by somebody else, or by an older keepmap."""
        if self.overwrite:
            return
        for name in (RUN_FILE, *names):
            if (self.folder / name).exists():
                whose = (
                    "which is damaged or not keepmap's" if name == RUN_FILE else "and no run of keepmap's that made it"
                )
                raise InputError(
                    f"{self.folder} holds {name}, {whose}; give `overwrite` to replace it, or another {self._option}"
                )

    def _strange(self, names: Iterable[str]) -> list[Path]:
        """Those of the files of this run that keepmap has not made: anybody can write a `run.json`."""
        paths = [(name, self.folder / name) for name in names]
        return [
            path for name, path in paths if path.is_file() and not is_blank(path) and not has_made(self.folder, name)
        ]

    def _refuse_strange(self, paths: Sequence[Path]) -> None:
        if paths and not self.overwrite:
            raise InputError(
                f"{paths[0]} is damaged or not keepmap's; give `overwrite` to replace that one file, or "
                f"another {self._option}"
            )

    def _remove(self, earlier: RunFile) -> None:
        """What another run made: its files by their names, and the records that say that they are its."""
        remove_files(self._own([*earlier.files, *self._recorded(earlier)]))
        self._remove_matching(earlier.patterns)

    def _remove_matching(self, patterns: Iterable[str]) -> None:
        """The files that match, and folders that nothing is left in."""
        paths = self._own(name for pattern in patterns for name in self._matching(pattern))
        remove_files(paths)
        for parent in sorted({path.parent for path in paths} - {self.folder}, reverse=True):
            with suppress(OSError):
                parent.rmdir()

    def _matching(self, pattern: str) -> Iterator[str]:
        try:
            yield from (str(path.relative_to(self.folder)) for path in self.folder.glob(pattern))
        except (NotImplementedError, ValueError):
            return  # one that keepmap did not write: absolute, empty, or leading out of the folder

    def _recorded(self, earlier: RunFile) -> list[str]:
        """Those of its units whose records are there, and say that they are its."""
        return [name for name in earlier.units if read_record(self.folder / name, earlier.run) is not None]

    def _own(self, names: Iterable[str]) -> list[Path]:
        """Those of the files that keepmap has made; a `run.json` that names others was not written by keepmap."""
        return [self.folder / name for name in names if has_made(self.folder, name)]
