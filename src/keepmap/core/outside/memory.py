"""How much memory there is, one line before something that does not go into it is begun, and one where it ran out."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keepmap.errors import InputError, KeepmapError, ModelError

__all__ = ["LAYER", "control_group_limits", "memory_there_is", "require_memory", "size_text", "within_memory"]

LAYER = 2**14
"""Bytes that a layer of a transformer takes before it has any weights; measured ones take 19,000 to 30,000."""

UNLIMITED = 2**62
"""Version 1 of control groups writes a number like this one where there is no limit."""


def require_memory(
    needed: int, what: str, remedy: str, error: type[KeepmapError] = InputError, there_is: int | None = None
) -> None:
    """Whether so many bytes go into memory; it is asked before any of them is taken.

    >>> require_memory(10**18, "a context of 10,000,000,000,000 transitions", "lower n_transit")
    Traceback (most recent call last):
    ...
    keepmap.errors.InputError: a context of 10,000,000,000,000 transitions would take 888 PiB of memory, and ...

    Args:
        needed: bytes.
        what: needs them. remedy: what to do, the end of the message.
        there_is: bytes, by default those of this machine; of a GPU where it goes there.

    Raises:
        KeepmapError: `error`, they do not.
    """
    place = "there is" if there_is is None else "the GPU has"
    there_is = memory_there_is() if there_is is None else there_is
    if needed > there_is:
        raise error(f"{what} would take {size_text(needed)} of memory, and {place} {size_text(there_is)}; {remedy}")


@contextmanager
def within_memory(what: str, place: object, remedy: str) -> Iterator[None]:
    """Inside, an end of the memory is one line, of a GPU's and of this machine's.

    >>> import torch
    >>> with within_memory("a text of 9 tokens", "cuda:0", "give a shorter one"):
    ...     raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB ...")
    Traceback (most recent call last):
    ...
    keepmap.errors.ModelError: a text of 9 tokens does not go into the memory of cuda:0; give a shorter one

    Args:
        what: needs the memory. place: the device. remedy: what to do, the end of the message.

    Raises:
        ModelError: it ran out.
    """
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # What torch raises where the machine's own memory ends has no class of its own.
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        raise ModelError(f"{what} does not go into the memory of {place}; {remedy}") from None


def memory_there_is() -> int:
    """Bytes of this machine's memory, or fewer where the process's control group may have no more."""
    return min([_of_machine(), *control_group_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def size_text(size: int | float) -> str:
    """Bytes in a unit that people read.

    >>> size_text(512), size_text(24 * 2**30), size_text(1e30)
    ('512 bytes', '24 GiB', 'more than 1,000 PiB')
    """
    if size < 1024:
        return f"{size:.0f} bytes"
    size = min(size, 2**70)  # it can be an integer that no float holds
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        size /= 1024
        if size < 1000:
            return f"{size:.3g} {unit}"
    return "more than 1,000 PiB"


def _of_machine() -> int:
    if sys.platform == "win32":
        kibibytes = ctypes.c_ulonglong()
        ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kibibytes))
        return kibibytes.value * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def control_group_limits(groups: Path, mounted: Path) -> Iterator[int]:
    """The limits of the control groups that a process is in, and of those that they are in.

    Args:
        groups: the file that names them. mounted: the folder that describes them.
    """
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            top, file = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            top, file = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        here = top / group.lstrip("/")
        # In a container the group's path is often that of outside: then the top is the container's own.
        for folder in (here, *here.parents):
            if folder.is_relative_to(top):
                yield from _limit(folder / file)


def _limit(file: Path) -> Iterator[int]:
    try:
        limit = int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or "max"
        return
    if 0 < limit < UNLIMITED:
        yield limit
