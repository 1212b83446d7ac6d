"""Spreading samples over processes: one process per device, the same results however many there are.

Each worker has its own pipe, so that one that is killed can neither lock nor garble what the others say.
"""

import signal
import traceback
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from keepmap.core.files import make_folder
from keepmap.errors import InputError, KeepmapError, WorkerError
from keepmap.kv.comparison.session import Facts, Finished, Job, evaluate_sample, open_session

__all__ = ["Died", "Event", "Ready", "choose_devices", "run_job"]

DEATHS = 2
"""How many workers a sample may cost before the run gives up."""


@dataclass(frozen=True)
class Ready:
    """A process has loaded everything; the first such event of a run comes before any result."""

    facts: Facts


@dataclass(frozen=True)
class Died:
    """A worker died on a sample (None: while it loaded the model); another one takes over."""

    sample: int | None
    exit_code: int | None


Event = Ready | Finished | Died


def choose_devices(device: str, num_gpus: int | None, workers: int | None) -> tuple[str, ...]:
    """One device per process.

    Args:
        device: "auto", or a torch device; a named one is used by every worker.
        num_gpus: so many GPUs, one process each; -1 for all.
        workers: so many processes, spread over the GPUs where there are some.

    Raises:
        InputError: more GPUs than there are, no worker at all, or options that disagree.
    """
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers} was asked for; it must be 1 or more")
    if num_gpus is None:
        gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
        return tuple(f"cuda:{worker % gpus}" if gpus else device for worker in range(workers or 1))
    found = torch.cuda.device_count()
    if num_gpus < -1 or num_gpus == 0:
        raise InputError(f"--num_gpus {num_gpus} was asked for; give 1 or more, or -1 for all")
    if device not in ("auto", "cuda"):
        raise InputError(f"--num_gpus {num_gpus} and --device {device} were asked for; leave one of them out")
    if num_gpus > found or found == 0:
        asked = "all GPUs were" if num_gpus == -1 else f"{num_gpus} GPU{'s were' if num_gpus > 1 else ' was'}"
        if found:
            raise InputError(f"{asked} asked for, {found} found; use --num_gpus {found}")
        raise InputError(f"{asked} asked for, none found; leave --num_gpus out, or use --workers for processes")
    count = found if num_gpus == -1 else num_gpus
    if workers is not None and workers != count:
        raise InputError(f"--num_gpus {count} and --workers {workers} were asked for; leave one of them out")
    return tuple(f"cuda:{gpu}" for gpu in range(count))


def run_job(job: Job, devices: Sequence[str]) -> Generator[Event, None, None]:
    """Evaluate every sample: here for one device, in a process per device otherwise.

    The results are the same: every process computes with as many threads as this one would.

    Raises:
        KeepmapError: what a worker raised, or WorkerError where a sample killed two of them.
    """
    if len(devices) == 1:
        session = open_session(job, devices[0])
        make_folder(job.output_dir / "samples")
        yield Ready(session.facts)
        for index in range(len(session.samples)):
            yield from evaluate_sample(session, index)
        return
    pool = _Pool(job)
    try:
        yield from pool.run(devices)
    finally:
        pool.close()


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    device: str
    ready: bool = False
    sample: int | None = None


class _Pool:
    """The processes of one run, and what is left to do."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._workers: list[_Worker] = []
        self._deaths: Counter[int | None] = Counter()
        self._waiting: deque[int] = deque()
        self._facts: Facts | None = None
        self._left = 0

    def run(self, devices: Sequence[str]) -> Iterator[Event]:
        for device in devices:
            self._start(device)
        while self._facts is None or self._left:
            for worker in self._stirred():
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                    continue
                if isinstance(message, _Failed):
                    raise message.error or RuntimeError(f"a worker failed:\n{message.details}")
                if isinstance(message, Facts):
                    if self._facts is None:
                        self._facts = message
                        self._left = message.n_samples
                        self._waiting = deque(range(message.n_samples))
                        make_folder(self._job.output_dir / "samples")
                        yield Ready(message)
                    worker.ready = True
                    # Loading works: one that was killed while at it was not ended by it.
                    del self._deaths[None]
                elif isinstance(message, Finished):
                    yield message
                else:
                    assert message == worker.sample
                    worker.sample = None
                    self._left -= 1
                self._feed()

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            self._clean_up(worker)
        self._workers.clear()

    def _start(self, device: str) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work, args=(self._job, device, torch.get_num_threads(), theirs), name=f"keepmap-{device}"
        )
        # An ignored Ctrl-C is inherited: it is for this process to end the others.
        before = signal.getsignal(signal.SIGINT)
        in_main = _set_interrupt(signal.SIG_IGN)
        try:
            process.start()
        finally:
            if in_main:
                _set_interrupt(before)
        theirs.close()
        self._workers.append(_Worker(process, ours, device))

    def _stirred(self) -> list[_Worker]:
        """Workers that said something, or whose pipe broke because they died."""
        pipes = set(wait([worker.pipe for worker in self._workers]))
        return [worker for worker in self._workers if worker.pipe in pipes]

    def _feed(self) -> None:
        for worker in self._workers:
            if worker.ready and worker.sample is None and self._waiting:
                sample = self._waiting.popleft()
                worker.sample = sample
                try:
                    worker.pipe.send(sample)
                except OSError:
                    # It is dead, and its pipe says so when it is read next.
                    return

    def _clean_up(self, worker: _Worker) -> None:
        """Once it has ended: what it was writing when it was killed is not left lying about."""
        worker.process.join()
        for folder in (self._job.output_dir, self._job.output_dir / "samples"):
            for path in folder.glob(f".*.{worker.process.pid}.part"):
                path.unlink(missing_ok=True)
        worker.process.close()
        worker.pipe.close()

    def _bury(self, worker: _Worker) -> Iterator[Died]:
        """Replace a dead worker, and put its sample first in the queue."""
        worker.process.join()
        exit_code = worker.process.exitcode
        self._workers.remove(worker)
        self._clean_up(worker)
        if worker.ready and worker.sample is None:
            # It had nothing left to do.
            return
        self._deaths[worker.sample] += 1
        if self._deaths[worker.sample] >= DEATHS:
            where = "while loading the model" if worker.sample is None else f"on sample {worker.sample}"
            raise WorkerError(
                f"two workers died {where} (the last with exit code {exit_code}); -9 is often the system running out "
                "of memory: use fewer workers or a smaller --max_length"
            )
        if worker.sample is not None:
            self._waiting.appendleft(worker.sample)
        self._start(worker.device)
        self._feed()
        yield Died(worker.sample, exit_code)


@dataclass(frozen=True)
class _Failed:
    error: KeepmapError | None
    details: str


def _work(job: Job, device: str, threads: int, pipe: Connection) -> None:
    """A worker: say what was loaded, then do the samples that come in; numbers out are finished samples."""
    from keepmap.quiet import quiet_transformers

    try:
        quiet_transformers()
        torch.set_num_threads(threads)
        session = open_session(job, device)
        pipe.send(session.facts)
        while True:
            index = pipe.recv()
            for finished in evaluate_sample(session, index):
                pipe.send(finished)
            pipe.send(index)
    except (EOFError, BrokenPipeError):
        return
    except KeepmapError as error:
        pipe.send(_Failed(error, ""))
    except Exception:
        pipe.send(_Failed(None, traceback.format_exc()))


def _set_interrupt(handler: object) -> bool:
    """Set what Ctrl-C does; only the main thread may, False elsewhere."""
    try:
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True
