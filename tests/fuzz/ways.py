"""The ways to a case, by name: a target's bytes or values, or a verb's options; and what each does with a seed."""

import contextlib
import functools
import os
import random
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from keepmap.cli import main
from keepmap.cli.verbs import VERBS
from keepmap.errors import LONGEST, KeepmapError
from tests.fuzz.children import Tell, try_case
from tests.fuzz.damage import damage, restore
from tests.fuzz.edits import EDITORS, edited
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.words import WORK, command_lines, write_place

__all__ = ["ways"]

EXAMPLES, COMMANDS = 10, 4
"""Cases of a seed where hypothesis draws values, or command lines."""
Way = Callable[[Path], Callable[[int, Tell], None]]
SUM = b'"checksum"'
BLOCK = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.quiet,
    report_multiple_bugs=False,
)


class RefusedError(KeepmapError):
    """A command has ended with a line and exit code 2."""


class FaultError(Exception):
    """A case went wrong; hypothesis looks for a smaller one."""


def ways() -> Mapping[str, Way]:
    """Name -> from a folder to the work that is done there with a seed."""
    every: dict[str, Way] = {}
    for name, target in TARGETS.items():
        every[f"{name}/bytes"] = functools.partial(_bytes, target)
        if target.has_values:
            every[f"{name}/values"] = functools.partial(_values, target)
    for verb in VERBS:
        every[f"options/{verb}"] = functools.partial(_options, verb)
    return every


@functools.cache
def _good(build: Callable[[Path], object], place: Path) -> tuple[Path, dict[str, bytes]]:
    """A folder of good files, and the content of those that may be damaged."""
    folder = Path(tempfile.mkdtemp(dir=place))
    build(folder)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return folder, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _damaged(files: Mapping[str, bytes], apart: tuple[str, ...]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith(apart or ("\0",))}


def _bytes(target: Target, place: Path) -> Callable[[int, Tell], None]:
    folder, files = _good(target.build, place)
    restore(folder, files)
    good = repr(target.use(folder))
    sums = [content.count(SUM) for content in files.values()]

    def use() -> None:
        value = repr(target.use(folder))
        # Where the checksum of a result has lost its name, it is a file from before there was one.
        named = [(folder / name).read_bytes().count(SUM) for name in files if (folder / name).is_file()]
        if target.checked and named == sums:
            assert value == good, f"other values were read: {value[:300]}"

    def work(number: int, tell: Tell) -> None:
        restore(folder, files)
        what = damage(folder, _damaged(files, target.apart), random.Random(number))
        with _quiet(place):
            try_case(number, what, use, tell)

    return work


def _values(target: Target, place: Path) -> Callable[[int, Tell], None]:
    folder, files = _good(target.build, place)
    names = [name for name in _damaged(files, target.apart) if Path(name).suffix in EDITORS]

    def work(number: int, tell: Tell) -> None:
        @seed(number)
        @BLOCK
        @given(st.data())
        def block(data: Any) -> None:
            restore(folder, files)
            name = data.draw(st.sampled_from(names))
            what = edited(folder / name, data.draw)
            if kind := try_case(number, what, lambda: target.use(folder), tell):
                raise FaultError(kind)

        with _quiet(place), contextlib.suppress(FaultError):
            block()

    return work


def _options(verb: str, place: Path) -> Callable[[int, Tell], None]:
    folder, files = _good(write_place, place)
    lines = command_lines(verb)

    def work(number: int, tell: Tell) -> None:
        @seed(number)
        @settings(BLOCK, max_examples=COMMANDS)
        @given(lines)
        def block(words: list[str]) -> None:
            restore(folder, files)
            (folder / "empty").mkdir()
            os.chdir(folder)
            if kind := try_case(number, repr(words), lambda: _run(words, place), tell):
                raise FaultError(kind)

        with _quiet(place), contextlib.suppress(FaultError):
            block()

    return work


def _run(words: list[str], place: Path) -> None:
    """Run a command; work that goes on is ended by a signal, and must end as it promises."""
    interrupted = []

    def interrupt(number: int, frame: object) -> None:
        interrupted.append(number)
        signal.raise_signal(signal.SIGTERM)  # a process in the background may ignore SIGINT

    signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, WORK)
    try:
        code = main(words)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    sys.stderr.flush()
    error = (place / "stderr.txt").read_text(errors="replace")
    sys.stderr.seek(0)
    sys.stderr.truncate()
    sys.stdout.seek(0)
    sys.stdout.truncate()
    lines = [line for line in error.splitlines() if re.match("error: ", line)]
    assert "Traceback" not in error, error
    assert code in (0, 2) or (code == 143 and interrupted), f"it ended with {code}: {error}"
    assert code != 2 or (len(lines) == 1 and len(lines[0]) <= LONGEST), f"no line says why: {error}"
    if code == 2:
        raise RefusedError(lines[0])


@contextlib.contextmanager
def _quiet(place: Path) -> Any:
    """What is printed goes into files."""
    with (
        (place / "stdout.txt").open("w", encoding="utf-8", errors="backslashreplace") as out,
        (place / "stderr.txt").open("w", encoding="utf-8", errors="backslashreplace") as error,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        yield
