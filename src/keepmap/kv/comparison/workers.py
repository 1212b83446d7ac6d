"""Spreading samples over processes: one process per device, the same results however many there are."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from keepmap.core.arguments import as_integer, as_string
from keepmap.core.files import make_folder
from keepmap.core.processes import Crew, JobMessage, WorkerDied, WorkerReady, run_crew
from keepmap.errors import InputError
from keepmap.kv.comparison.files import sample_folder, write_finished
from keepmap.kv.comparison.rows import method_keys
from keepmap.kv.comparison.session import Facts, Finished, Job, Passed, Session, evaluate_sample, open_session

__all__ = [
    "Died",
    "Done",
    "Event",
    "Ready",
    "choose_devices",
    "death_place",
    "nothing_done",
    "opened_quietly",
    "run_job",
]


@dataclass(frozen=True)
class Ready:
    """A process has loaded everything; this event comes once, before any result."""

    facts: Facts


@dataclass(frozen=True)
class Died:
    """A worker died on a sample (None: while it loaded the model); another one takes over."""

    sample: int | None
    exit_code: int | None


Event = Ready | Passed | Finished | Died
"""`Finished` says that the result is on disk."""


def choose_devices(device: str, num_gpus: int | None, workers: int | None) -> tuple[str, ...]:
    """One device per process.

    Args:
        device: "auto", or a torch device; a named one is used by every worker.
        num_gpus: so many GPUs, one process each; -1 for all.
        workers: so many processes, spread over the GPUs where there are some.

    Raises:
        InputError: more GPUs than there are, no worker at all, or options that disagree.
    """
    device = as_string("device", device)
    if num_gpus is not None:
        num_gpus = as_integer("num_gpus", num_gpus, None)
    if workers is not None and as_integer("workers", workers, None) < 1:
        raise InputError(f"expected `workers` to be 1 or more, got {workers}")
    if num_gpus is None:
        gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
        return tuple(f"cuda:{worker % gpus}" if gpus else device for worker in range(workers or 1))
    n_gpus = torch.cuda.device_count()
    if num_gpus < -1 or num_gpus == 0:
        raise InputError(f"expected `num_gpus` to be 1 or more, or -1 for all, got {num_gpus}")
    if device not in ("auto", "cuda"):
        raise InputError(f"got num_gpus={num_gpus} and device={device}; leave one of them out")
    if num_gpus > n_gpus or n_gpus == 0:
        expected = "all GPUs" if num_gpus == -1 else f"{num_gpus} GPU{'s' if num_gpus > 1 else ''}"
        if n_gpus:
            raise InputError(f"expected {expected}, got {n_gpus}; use num_gpus={n_gpus}")
        raise InputError(f"expected {expected}, got none; leave `num_gpus` out, or use `workers` for processes")
    count = n_gpus if num_gpus == -1 else num_gpus
    if workers is not None and workers != count:
        raise InputError(f"got num_gpus={count} and workers={workers}; leave one of them out")
    return tuple(f"cuda:{gpu}" for gpu in range(count))


@dataclass(frozen=True)
class _Share:
    """A sample, and the methods that are done with it already."""

    sample: int
    done: frozenset[str]


Done = Callable[[Facts], Mapping[int, frozenset[str]]]
"""From what loading has shown to the methods whose results are there, by sample; called once, before any work."""


def nothing_done(facts: Facts) -> dict[int, frozenset[str]]:
    """Of a run that begins."""
    return {}


def run_job(job: Job, devices: Sequence[str], done: Done = nothing_done) -> Generator[Event, None, None]:
    """Evaluate every sample and write each result: here for one device, in a process per device otherwise.

    The results are the same: every process computes with as many threads as this one would.

    Raises:
        KeepmapError: what a worker raised, or WorkerError where a sample killed two of them.
    """
    if len(devices) == 1:
        session = open_session(job, devices[0])
        shares = _shares(session.facts, done)
        make_folder(sample_folder(job.output_dir))
        yield Ready(session.facts)
        for share in shares:
            for step in evaluate_sample(session, share.sample, share.done):
                if isinstance(step, Finished):
                    write_finished(job.output_dir, step, session.facts.plans, job.run)
                yield step
        return
    crew = Crew(
        set_up=_open,
        work=_evaluate,
        threads=torch.get_num_threads(),
        describe=_death_place,
        advice="use fewer `workers` or a smaller `max_length`",
        parts=(".*", "samples/.*"),
    )
    arguments = [(job, device) for device in devices]
    shares = list[_Share]()

    def shares_of(facts: Facts) -> list[_Share]:
        shares.extend(_shares(facts, done))
        return shares

    with closing(run_crew(crew, arguments, shares_of, job.output_dir)) as events:
        ready = False
        for event in events:
            match event:
                case WorkerReady(facts) if not ready:
                    ready = True
                    make_folder(sample_folder(job.output_dir))
                    yield Ready(facts)
                case JobMessage(_, sent):
                    yield sent
                case WorkerDied(index, exit_code):
                    yield Died(None if index is None else shares[index].sample, exit_code)


def _shares(facts: Facts, done: Done) -> list[_Share]:
    """The samples that something is left of."""
    by_sample = done(facts)
    shares = [_Share(sample, by_sample.get(sample, frozenset())) for sample in range(facts.n_samples)]
    return [share for share in shares if len(share.done) < len(method_keys(facts))]


def death_place(sample: int | None) -> str:
    """Where a worker died, as messages say it."""
    return "while loading the model" if sample is None else f"on sample {sample}"


def _death_place(share: _Share | None) -> str:
    return death_place(None if share is None else share.sample)


def opened_quietly(open_it: Callable[[Job, str], Session], job: Job, device: str) -> Session:
    """The session that a worker opens, without what transformers would print: that is for the run to say, once."""
    from keepmap.language_model import quiet_transformers

    quiet_transformers()
    return open_it(job, device)


def _open(argument: tuple[Job, str]) -> tuple[tuple[Job, Session], Facts]:
    job, device = argument
    session = opened_quietly(open_session, job, device)
    return (job, session), session.facts


def _evaluate(tools: tuple[Job, Session], share: _Share, send: Callable[[Passed | Finished], None]) -> None:
    job, session = tools
    for step in evaluate_sample(session, share.sample, share.done):
        if isinstance(step, Finished):
            write_finished(job.output_dir, step, session.facts.plans, job.run)
            # A KeepMap is as large as the text, and the first sample's is on disk.
            step = Finished(step.result, step.seconds)
        send(step)
