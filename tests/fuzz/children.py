"""Cases in a child process: what hangs, dies or takes too much takes the child down, and nobody else."""

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from keepmap.core.outside import memory
from keepmap.errors import LONGEST, KeepmapError

__all__ = ["Tally", "Tell", "in_children", "try_case"]

SECONDS = 10.0
"""Of processor that a case may take; or of waiting, in which nothing is computed."""
MEMORY = 2 * 2**30
"""Bytes that a case may take beside what the process has."""
THERE_IS = 2**30
"""The memory that keepmap is told that there is."""
TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
}
CACHES = ("/dev/null", "/dev/tty")

Tell = Callable[[dict[str, Any]], None]


@dataclass
class Tally:
    """What came of a target: how many cases ended how, and by seed what went wrong."""

    read: int = 0
    refused: int = 0
    faults: dict[int, dict[str, str]] = field(default_factory=dict)
    next_seed: int = 0


def in_children(work: Callable[[int, Tell], None], first: int, last: int | None, seconds: float, place: Path) -> Tally:
    """Let children work through seeds until they have computed for so many seconds, or the last seed is done.

    Args:
        work: does the cases of a seed, and tells of each by `try_case`.
        place: the folder outside of which nothing may be written.
    """
    tally, begun, left = Tally(next_seed=first), computed(), seconds
    while (last is None or tally.next_seed <= last) and (left > 0 or tally.next_seed == first):
        _one_child(work, tally, last, left, place)
        left = seconds - (computed() - begun)
    return tally


def computed() -> float:
    """Seconds of processor that this process and its children have taken."""
    return sum(os.times()[:4])


def _one_child(work: Callable[[int, Tell], None], tally: Tally, last: int | None, seconds: float, place: Path) -> None:
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            _child(work, tally.next_seed, last, seconds, place, pipe)
    os.close(writer)
    os.set_blocking(reader, False)
    watch, pending, seed, what = _Watch(pid), b"", tally.next_seed, "the start"
    reason = None
    while True:
        ready, _, _ = select.select([reader], [], [], 0.25)
        if ready:
            block = os.read(reader, 2**16)
            if not block:
                break
            *lines, pending = (pending + block).split(b"\n")
            for line in lines:
                message = json.loads(line)
                watch.reset()
                seed, what = message.get("seed", seed), message.get("what", what)
                if "next" in message:
                    tally.next_seed = message["next"]
                elif message.get("end") == "fault":
                    tally.faults[seed] = message["fault"] | {"what": what}
                elif "end" in message:
                    setattr(tally, message["end"], getattr(tally, message["end"]) + 1)
        elif reason := watch.reason():
            os.kill(pid, signal.SIGKILL)
            break
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if tally.next_seed <= seed:
        ended = reason or f"the process ended with {os.waitstatus_to_exitcode(status)}"
        tally.faults[seed] = {"kind": ended, "text": ended, "what": what}
        tally.next_seed = seed + 1


class _Watch:
    """How long a child has computed, or waited, since it last told of something; one that is stopped does neither."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.reset()

    def reset(self) -> None:
        self._begun, _ = self._times()
        self._last, self._idle = self._begun, 0.0

    def reason(self) -> str | None:
        """Why it must end; None where it need not. It is asked four times a second."""
        used, state = self._times()
        self._idle = self._idle + 0.25 if used == self._last and state in "SD" else 0.0
        self._last = used
        if used - self._begun > SECONDS:
            return f"it took more than {SECONDS:g} seconds"
        return f"it waited for more than {SECONDS:g} seconds" if self._idle > SECONDS else None

    def _times(self) -> tuple[float, str]:
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0, "Z"
        return (int(fields[11]) + int(fields[12])) / TICK, fields[0]


def _child(
    work: Callable[[int, Tell], None], seed: int, last: int | None, seconds: float, place: Path, pipe: TextIO
) -> None:
    """Never returns."""

    def tell(message: dict[str, Any]) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    try:
        _confine(place)
        while True:
            work(seed, tell)
            seed += 1
            tell({"next": seed})
            if time.process_time() > seconds or (last is not None and seed > last):
                break
    except BaseException:
        tell({"end": "fault", "seed": seed, "fault": _fault(sys.exc_info()[1])})
        tell({"next": seed + 1})
    os.kill(os.getpid(), signal.SIGKILL)  # what is to be cleaned up is the parent's


OUTSIDE: list[str] = []
"""What was to be written outside of the place."""


def _confine(place: Path) -> None:
    """Limit what this process can take and where it can write; what would go elsewhere is refused, and noted."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory.memory_there_is = lambda: THERE_IS
    root = os.path.realpath(place) + os.sep

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
            paths, handles = [path], [-1]
        elif event in CHANGING:
            paths = [path for path in arguments if isinstance(path, str | bytes | os.PathLike)]
            paths = paths[1:] if event in ("os.link", "os.symlink") else paths  # what it points to is not written
            handles = [handle for handle in arguments if isinstance(handle, int)][-len(paths) :] or [-1]
        else:
            return
        for at, path in enumerate(paths):
            if isinstance(path, int):
                continue
            handle = handles[min(at, len(handles) - 1)]
            above = f"/proc/self/fd/{handle}" if handle > 2 else "."
            name = os.path.join(above, os.fsdecode(path))
            real = os.path.join(os.path.realpath(os.path.dirname(name)), "")
            # Where compiled code is kept: in such a folder, or that folder itself.
            is_compiled = real.endswith("__pycache__/") or name.endswith("/__pycache__")
            if not real.startswith(root) and name not in CACHES and not is_compiled:
                OUTSIDE.append(f"{event} {name}")
                raise PermissionError(1, "outside of the place of the fuzz", name)

    sys.addaudithook(hook)


def try_case(seed: int, what: str, do: Callable[[], object], tell: Tell) -> str | None:
    """Do one case and tell how it ended; the fault's kind, None where all is well."""
    tell({"seed": seed, "what": what[:300]})
    OUTSIDE.clear()
    fault = None
    begun = time.process_time()
    try:
        do()
        end = "read"
    except KeepmapError as error:
        end, line = "refused", str(error)
        if "\n" in line or len(line) > LONGEST or not line.strip():
            fault = {"kind": "a message that is no line", "text": line[:1000]}
    except BaseException as error:
        fault = _fault(error)
    taken = time.process_time() - begun
    if OUTSIDE:
        fault = {"kind": "written outside", "text": "\n".join(OUTSIDE[:5])}
    if taken > SECONDS:
        fault = {"kind": "too slow", "text": f"{taken:.1f} s"}
    tell({"end": "fault", "fault": fault} if fault else {"end": end})
    return fault["kind"] if fault else None


def _fault(error: BaseException | None) -> dict[str, str]:
    lines = traceback.format_exception(error)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__ if error else None) if "/keepmap/" in frame.filename
    ]
    last = frames[-1] if frames else None
    where = f"{last.filename.rpartition('/keepmap/')[2]}:{last.lineno}" if last else "?"
    return {"kind": f"{type(error).__name__} at {where}", "text": "".join(lines)[-3000:]}
