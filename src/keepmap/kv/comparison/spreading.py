"""Samples spread over an executor: workers get tokens and give results, and this process alone reads and writes files.

A share of the work is a sample, or some of its methods where there are more workers than samples.
"""

import socket
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy import ndarray

from keepmap.core.executors.spread import Spread
from keepmap.core.files import make_folder
from keepmap.core.keep_map import KeepMap
from keepmap.core.processes import Crew, JobMessage, WorkerDied
from keepmap.core.versions import versions
from keepmap.errors import InputError, ModelError
from keepmap.kv.comparison.files import PACKAGES, sample_folder, write_finished
from keepmap.kv.comparison.plan import STREAMING, VALIDATION
from keepmap.kv.comparison.rows import method_keys
from keepmap.kv.comparison.session import (
    Facts,
    Finished,
    Job,
    Passed,
    Session,
    evaluate_sample,
    load_session,
    with_texts,
)
from keepmap.kv.comparison.workers import Died, Done, Event, Ready, death_place, opened_quietly
from keepmap.kv.data.texts import Skipped, Text, TextSample, read_texts

__all__ = ["Opening", "Share", "shares_of", "spread_job", "spread_session"]


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a worker sets itself up.

    Attributes:
        job: None where the model is in the memory of the process that began the run, and nowhere else.
        versions: of what takes part in a number, where the run was begun.
    """

    job: Job | None
    device: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Texts:
    """What a worker makes tokens of: it has the model's tokenizer."""

    job: Job
    texts: tuple[Text, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A sample, and the methods of it that are not to be done here.

    Attributes:
        hashes: of the model that the run was begun with, by `Facts.hashes`.
    """

    sample: TextSample
    done: frozenset[str]
    hashes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """A result as it travels: a KeepMap as arrays, whose bytes are their own, and of the first sample alone."""

    finished: Finished
    arrays: tuple[ndarray, ndarray, ndarray] | None = None
    about: Mapping[str, Any] | None = None


def spread_job(executor: Executor, job: Job, device: str, done: Done) -> Generator[Event, None, None]:
    """As `run_job`, by the workers of an executor: this process needs no model, and they need no file but the model's.

    Raises:
        KeepmapError: what a worker raised, or WorkerError where a sample lost too many of them.
    """
    texts, skipped = read_texts(job.data_path, job.text_field, job.max_samples, strict=job.strict)
    # Where the texts are, and where the results go, is nothing to a worker.
    scorer = job.kvzap_scorer_model
    if scorer is not None and Path(scorer).exists():
        scorer = str(Path(scorer).absolute())
    sent = replace(job, data_path="", output_dir=Path(), kvzap_scorer_model=scorer)
    opening = Opening(job=sent, device=device, versions=versions(*PACKAGES))
    with Spread(executor, _crew(), opening) as spread:
        facts, samples = yield from _begun(spread, _Texts(job=sent, texts=texts, skipped=skipped))
        shares = shares_of(facts, samples, done(facts), spread.slots)
        make_folder(sample_folder(job.output_dir))
        yield Ready(facts)
        for event in _events(spread, shares):
            if isinstance(event, Finished):
                write_finished(job.output_dir, event, facts.plans, job.run)
            yield event


def spread_session(
    executor: Executor, session: Session, job: Job | None, device: str
) -> Generator[Passed | Finished | Died, None, None]:
    """Every method on every sample of a session that is open here, by the workers of an executor.

    Args:
        job: how a worker that is no thread of this process opens the same model; None where it cannot.

    Raises:
        KeepmapError: as `spread_job`; InputError where workers have no way to the model.
    """
    opening = Opening(job=job, device=device, versions=versions(*PACKAGES))
    with Spread(executor, _crew(), opening, tools=session) as spread:
        shares = shares_of(session.facts, session.samples, {}, spread.slots)
        yield from _events(spread, shares)


def shares_of(
    facts: Facts, samples: Sequence[TextSample], done: Mapping[int, frozenset[str]], slots: int | None
) -> list[Share]:
    """What is left to do: a share for each sample, or several where else some of the workers would have none.

    Each share reads its sample once without eviction, whatever its methods.
    """
    keys = method_keys(facts)
    left = {sample.index: [key for key in keys if key not in done.get(sample.index, ())] for sample in samples}
    n_parts = max(1, -(-(slots or 0) // max(1, sum(map(bool, left.values())))))
    hashes = {name: facts.hashes[name] for name in ("model", "device")}
    return [
        Share(sample=sample, done=frozenset(keys) - part, hashes=hashes)
        for sample in samples
        for part in _parts(left[sample.index], n_parts)
    ]


def _parts(keys: Sequence[str], n_parts: int) -> Iterator[frozenset[str]]:
    """The keys in so many parts or fewer; what is checked against each other stays together."""
    together = [key for key in keys if key in (STREAMING, VALIDATION)]
    groups = [[key] for key in keys if key not in together] + ([together] if together else [])
    size = -(-len(groups) // n_parts)
    for first in range(0, len(groups), max(1, size)):
        yield frozenset(key for group in groups[first : first + size] for key in group)


def _begun(spread: Spread, texts: _Texts) -> Generator[Event, None, tuple[Facts, tuple[TextSample, ...]]]:
    """Make tokens by the first worker that has loaded the model; the others load it meanwhile."""
    for event in spread.events([texts, *[None] * ((spread.slots or 1) - 1)]):
        match event:
            case JobMessage(0, (facts, samples)):
                return facts, samples
            case WorkerDied(_, exit_code):
                yield Died(None, exit_code)
    raise AssertionError("the first job sends what it has made")


def _events(spread: Spread, shares: Sequence[Share]) -> Iterator[Passed | Finished | Died]:
    sizes = [float(len(share.sample.ids)) for share in shares]
    for event in spread.events(shares, sizes):
        match event:
            case JobMessage(_, _Sent() as sent):
                yield _unpacked(sent)
            case JobMessage(_, passed):
                yield passed
            case WorkerDied(int(index), exit_code):
                yield Died(shares[index].sample.index, exit_code)


def _crew() -> Crew:
    return Crew(
        set_up=_open,
        work=_work,
        threads=torch.get_num_threads(),
        describe=_place,
        advice="use fewer workers or a smaller `max_length`",
        parts=(),
    )


def _open(opening: Opening) -> tuple[Session, Facts]:
    """The model, in a worker that has not been given one.

    Raises:
        InputError: another version of what decides a number, or no way to the model.
        ModelError: no such model there.
    """
    if opening.job is None:
        raise InputError(
            "the workers of `executor` are other processes, which a loaded model does not reach; give `model` by its "
            "name or folder, or an executor of threads"
        )
    for name, version in versions(*PACKAGES).items():
        if opening.versions.get(name) != version:
            raise InputError(
                f"a worker of `executor`, on {socket.gethostname()}, has {name} {version}, and the run was begun with "
                f"{opening.versions.get(name, 'none')}; install the same"
            )
    try:
        session = opened_quietly(load_session, opening.job, opening.device)
    except ModelError as error:
        raise ModelError(f"on {socket.gethostname()}: {error}") from None
    return session, session.facts


def _work(session: Session, job: "_Texts | Share | None", send: Callable[[Any], None]) -> None:
    match job:
        case _Texts():
            session = with_texts(session, job.job, job.texts, job.skipped)
            send((session.facts, session.samples))
        case Share():
            hashes = session.facts.hashes
            if any(hashes[name] != value for name, value in job.hashes.items()):
                raise ModelError(
                    f"the model on {socket.gethostname()} ({session.language_model.name}, {hashes['device']}) is not "
                    "the one that the run was begun with; put the same files there"
                )
            for step in evaluate_sample(replace(session, samples=(job.sample,)), 0, job.done):
                send(_packed(step) if isinstance(step, Finished) else step)


def _place(job: "_Texts | Share | None") -> str:
    return death_place(job.sample.index if isinstance(job, Share) else None)


def _packed(finished: Finished) -> _Sent:
    keep_map, plain = finished.keep_map, replace(finished, keep_map=None)
    if keep_map is None or finished.result.sample != 0:
        return _Sent(finished=plain)
    assert keep_map.held is not None
    arrays = (keep_map.expires.int().numpy(), keep_map.scores.numpy(), keep_map.held.numpy())
    about = {name: getattr(keep_map, name) for name in ("n_sink", "window", "threshold", "context_length", "info")}
    return _Sent(finished=plain, arrays=arrays, about=about)


def _unpacked(sent: _Sent) -> Finished:
    if sent.arrays is None or sent.about is None:
        return sent.finished
    # An array that came through shared memory may not be written to.
    expires, scores, held = (torch.from_numpy(array.copy()) for array in sent.arrays)
    return replace(sent.finished, keep_map=KeepMap(expires, scores, held=held, **sent.about))
