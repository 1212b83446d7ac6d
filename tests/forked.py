"""Python processes that begin in a moment: each is forked from one that has imported all that keepmap needs.

A test of what a process does as such (its start, its signals, its streams) begins a process of its own instead.
"""

import atexit
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

__all__ = ["SERVER", "Forked", "begin_server", "fork_programs", "python"]

SOURCE = Path(__file__).resolve().parents[1] / "src"
IMPORTED = [
    "keepmap.cli.main",
    "keepmap.commands.compare",
    "keepmap.commands.evaluate",
    "keepmap.commands.attention",
    "keepmap.commands.study",
    "keepmap.commands.training.surrogate",
    "keepmap.drawing.compressor_study",
    "transformers.models.llama.modeling_llama",
]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(IMPORTED)


def begin_server() -> None:
    """See that the process is there which the others are forked from."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(SOURCE)
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Forked:
    """A Python process in a group of its own; it is waited for and ended as one of `subprocess` is.

    Args:
        words: what stands behind `python`: `-W error`, then `-c CODE`, `-m MODULE` or a script, and its words.
        cwd: the folder that it runs in.
        out, error: the files that its streams go into.
        environment: its variables, beside those of this process.
        first: what is called there before it begins.
    """

    def __init__(
        self,
        words: Sequence[str],
        cwd: Path,
        *,
        out: str = os.devnull,
        error: str = os.devnull,
        environment: Mapping[str, str] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        variables = {**os.environ, **(environment or {})}
        self._process = SERVER.Process(target=_do, args=(list(words), str(cwd.resolve()), out, error, variables, first))
        begin_server()
        self._process.start()
        assert self._process.pid is not None
        atexit.register(self._process.kill)  # of a test that failed: nobody waits for it
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("python", timeout)
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to end: SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """End it as the system does, at once."""
        self._process.kill()


def python(
    *words: str, cwd: Path, timeout: float = 120, first: Callable[[], object] | None = None, **environment: str
) -> CompletedProcess[str]:
    """What `python WORDS` returns and prints in the folder `cwd`; what else is given is as of `Forked`."""
    with tempfile.TemporaryDirectory() as folder:
        out, error = Path(folder, "out"), Path(folder, "error")
        process = Forked(words, cwd, out=str(out), error=str(error), environment=environment, first=first)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return CompletedProcess(words, code, *(path.read_text(encoding="utf-8") for path in (out, error)))


def fork_programs() -> None:
    """From now on, in this process, `subprocess.run` forks where it would begin this Python."""
    begin = subprocess.run

    def run(command, *, cwd=None, **options):
        if command[0] != sys.executable:
            return begin(command, cwd=cwd, **options)
        done = python(*map(str, command[1:]), cwd=Path(cwd or ""))
        if not options.get("capture_output"):
            sys.stderr.write(done.stderr)
        return done

    subprocess.run = run


def _do(
    words: list[str], cwd: str, out: str, error: str, variables: dict[str, str], first: Callable[[], object] | None
) -> None:
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    for handle, path in enumerate((os.devnull, out, error)):
        opened = os.open(path, os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, handle)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")
    if words[0] == "-W":
        sys.warnoptions.append(words[1])  # its own workers are told, too
        warnings.simplefilter(words[1])
        words = words[2:]
    if first is not None:
        first()
    _run(*words)


def _run(kind: str, *words: str) -> None:
    if kind == "-c":
        code, *words = words
        sys.argv, sys.path[:0] = ["-c", *words], [""]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), sys.modules["__main__"].__dict__)  # noqa: S102
    elif kind == "-m":
        sys.argv, sys.path[:0] = list(words), [""]
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[:0] = [kind, *words], [str(Path(kind).resolve().parent)]
        runpy.run_path(kind, run_name="__main__")
