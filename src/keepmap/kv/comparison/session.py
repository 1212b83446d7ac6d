"""Every method on every sample: what a process that has the model does, sample by sample; it writes nothing."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.core.keep_map import KeepMap
from keepmap.errors import ImpossibleResultError, KeepmapError, ModelError
from keepmap.kv.comparison.checks import check_validation, is_near, is_wide
from keepmap.kv.comparison.inputs import model_hashes, tokens_hash
from keepmap.kv.comparison.kept import Kept, counted_kept, everything_kept
from keepmap.kv.comparison.plan import BASELINE, STREAMING, VALIDATION, MethodPlan, Plan, validates
from keepmap.kv.comparison.results import SampleResult
from keepmap.kv.data.texts import Samples, Skipped, Text, TextSample, read_texts, tokenize_texts
from keepmap.kv.eviction.dense import dense
from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.resolve import resolve_method
from keepmap.kv.likelihood import measure_likelihoods
from keepmap.kv.method import Method
from keepmap.kv.modes import Mode
from keepmap.kv.token_costs import TokenCosts, pieces_of
from keepmap.language_model import LanguageModel, load_language_model

__all__ = [
    "NO_CHUNKING",
    "Facts",
    "Finished",
    "Job",
    "Passed",
    "Session",
    "evaluate_sample",
    "load_session",
    "make_session",
    "open_session",
    "with_texts",
]

NO_CHUNKING = "baseline_no_chunking"
HELD_BYTES = 1 << 29
"""Hidden states that may wait for their measurement: all of a text's, unless text and model are large."""
HELD_SECONDS = 120.0
"""How long they wait at most, which is what a process that is killed loses; each time the reference's logits are made
anew, which takes a third of a pass where the vocabulary is large."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process has to know to evaluate samples of a file; plain values, so that it can be sent to one.

    Attributes:
        run: what the records of its results say of whose they are.
        model_place: the model's folder or file, for processes in which a relative name means another one.
    """

    data_path: str
    text_field: str
    max_samples: int | None
    max_length: int | None
    chat_template: bool
    strict: bool
    model_name: str
    dtype: str
    kvzap_scorer_model: str | None
    kvzap_model_type: str
    plan: Plan
    mode: Mode
    seed: int
    output_dir: Path
    run: str
    model_place: str | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known once the model is loaded; the same in every process of a run.

    Attributes:
        hashes: of the weights and of the tokens, for a run in a folder.
    """

    plans: tuple[MethodPlan, ...]
    left_out: tuple[str, ...]
    n_samples: int
    skipped: tuple[Skipped, ...]
    chat_template: bool
    n_layers: int
    n_kv_heads: int
    dtype: str
    device: str
    hashes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Session:
    """A process that is ready: the model, the samples, and the methods in the order of the plans."""

    facts: Facts
    language_model: LanguageModel
    samples: tuple[TextSample, ...]
    methods: Mapping[str, Method]
    mode: Mode
    seed: int


@dataclass(frozen=True)
class Passed:
    """One method has read one sample: most of its work. Its result comes later, with those of other methods."""

    sample: int
    method: str


@dataclass(frozen=True)
class Finished:
    """One method is done with one sample.

    Attributes:
        keep_map, token_costs: in the process that has them; of the baselines no map, of later samples no costs.
    """

    result: SampleResult
    seconds: float
    keep_map: KeepMap | None = None
    token_costs: TokenCosts | None = None


def open_session(job: Job, device: str) -> Session:
    """Read the texts, load the model and whatever its methods need.

    Raises:
        InputError, ModelError: the data, the model or a surrogate cannot be used.
    """
    texts, skipped = read_texts(job.data_path, job.text_field, job.max_samples, strict=job.strict)
    return with_texts(load_session(job, device), job, texts, skipped)


def load_session(job: Job, device: str) -> Session:
    """Load the model and whatever its methods need; it has no samples yet.

    Raises:
        ModelError: the model or a surrogate cannot be used.
    """
    language_model = load_language_model(job.model_place or job.model_name, device=device, dtype=job.dtype)
    session = make_session(
        replace(language_model, name=job.model_name),
        Samples((), ()),
        job.plan,
        mode=job.mode,
        seed=job.seed,
        kvzap_scorer_model=job.kvzap_scorer_model,
        kvzap_model_type=job.kvzap_model_type,
    )
    hashes = model_hashes(session.language_model, session.methods)
    return replace(session, facts=replace(session.facts, hashes=hashes))


def with_texts(session: Session, job: Job, texts: Sequence[Text], skipped: Sequence[Skipped]) -> Session:
    """The session with these texts as its samples.

    Raises:
        InputError, ModelError: the texts are none for this model.
    """
    language_model = session.language_model
    samples = tokenize_texts(
        tuple(texts),
        language_model.tokenizer,
        vocab_size=language_model.vocab_size,
        max_length=job.max_length,
        max_positions=language_model.max_positions,
        model_name=language_model.name,
        chat_template=job.chat_template,
        skipped=tuple(skipped),
        skip_short=not job.strict,
        skip_long=not job.strict,
        context_length=job.mode.context_length,
    )
    facts = replace(
        session.facts,
        n_samples=len(samples.samples),
        skipped=samples.skipped,
        chat_template=samples.chat_template,
        hashes=session.facts.hashes | tokens_hash(samples.samples),
    )
    return replace(session, facts=facts, samples=samples.samples)


def make_session(
    language_model: LanguageModel,
    samples: Samples,
    plan: Plan,
    *,
    mode: Mode,
    seed: int,
    kvzap_scorer_model: str | None = None,
    kvzap_model_type: str = "auto",
) -> Session:
    """A session with a model that is loaded; it loads what the methods need beside.

    Raises:
        ModelError: no surrogate for a method that was named.
    """
    methods: dict[str, Method] = {}
    left_out = list(plan.left_out)
    for method in plan.methods:
        if method.instance is not None:
            methods[method.key] = method.instance
            continue
        try:
            methods[method.key] = resolve_method(
                method.key,
                language_model,
                kvzap_scorer_model=kvzap_scorer_model,
                kvzap_model_type=kvzap_model_type,
                longest=max((mode.context_of(len(text.ids)) or len(text.ids) for text in samples.samples), default=0),
            )
        except ModelError as error:
            # Who asked for all methods did not ask for a surrogate that may not exist.
            if plan.group is None or kvzap_scorer_model is not None:
                raise
            left_out.append(f"{method.key} ({error})")
    facts = Facts(
        plans=tuple(method for method in plan.methods if method.key in methods),
        left_out=tuple(left_out),
        n_samples=len(samples.samples),
        skipped=samples.skipped,
        chat_template=samples.chat_template,
        n_layers=language_model.n_layers,
        n_kv_heads=language_model.n_kv_heads,
        dtype=str(language_model.dtype).removeprefix("torch."),
        device=language_model.device.type,
    )
    return Session(
        facts=facts,
        language_model=language_model,
        samples=samples.samples,
        methods=methods,
        mode=mode,
        seed=seed,
    )


def evaluate_sample(session: Session, index: int, done: frozenset[str] = frozenset()) -> Iterator[Passed | Finished]:
    """The dense forward pass, the baseline (in half precision a pass of its own), then each method; in this order.

    Hidden states wait, and are then measured side by side, against a reference whose logits are computed once.

    Args:
        done: the methods whose results are there; of these, only the two baselines run again, as what the others are
            measured against.

    Raises:
        ImpossibleResultError: a value that is not finite, an eviction that changed nothing, or StreamingLLM and
            Random(threshold=1.0) disagree.
        ModelError: the device's memory is too small.
    """
    language_model, sample = session.language_model, session.samples[index]
    ids = torch.tensor(sample.ids, device=language_model.device)
    full: Tensor | None = None
    waiting: list[_Pass] = []
    validation: dict[str, tuple[SampleResult, KeepMap]] = {}
    plans = [plan for plan in session.facts.plans if plan.key not in done]
    passes = _passes(session, sample, ids, plans)
    waiting_since = time.monotonic()
    for n_left in reversed(range(len(plans) + 2)):
        try:
            finished_pass = next(passes)
        except KeepmapError:
            # What was finished before is a result all the same.
            if full is not None:
                yield from _measured(session, sample, ids, waiting, full)
            raise
        full = finished_pass.hidden_states if full is None else full
        if finished_pass.method not in done:
            waiting.append(finished_pass)
            yield Passed(sample.index, finished_pass.method)
        held = sum(entry.hidden_states.nbytes for entry in waiting)
        if n_left and held < HELD_BYTES and time.monotonic() - waiting_since < HELD_SECONDS:
            continue
        for measured in _measured(session, sample, ids, waiting, full):
            key = measured.result.method
            if key in (STREAMING, VALIDATION) and validates(session.facts.plans):
                assert measured.keep_map is not None
                validation[key] = (measured.result, measured.keep_map)
                check_validation(validation, sample)
            yield measured
        waiting, waiting_since = [], time.monotonic()


def _passes(
    session: Session, sample: TextSample, ids: Int[Tensor, " N"], plans: Sequence[MethodPlan]
) -> "Iterator[_Pass]":
    """Every pass over a sample, the dense one first."""
    language_model, mode = session.language_model, session.mode
    n_entries = language_model.n_layers * language_model.n_kv_heads
    everything = everything_kept(n_entries, len(ids))
    started = time.perf_counter()
    with _in_memory(session, sample, "the dense model"):
        full = dense(language_model, ids)
    yield _Pass(NO_CHUNKING, everything, full, time.perf_counter() - started)

    def baseline() -> Float[Tensor, "N d"]:
        with _in_memory(session, sample, BASELINE):
            return evict(language_model, ids, BASELINE, chunk_size=mode.chunk_size, seed=session.seed).hidden_states

    # Nothing is decided, so that chunks change nothing: it is the dense pass but for rounding, which shows in half
    # precision alone.
    started = time.perf_counter()
    yield _Pass(BASELINE, everything, full if is_wide(full) else baseline(), time.perf_counter() - started)

    for plan in plans:
        started = time.perf_counter()
        with _in_memory(session, sample, plan.key):
            eviction = evict(
                language_model,
                ids,
                session.methods[plan.key],
                threshold=plan.threshold,
                density=plan.density,
                budget_by=plan.budget_by,
                n_sink=plan.n_sink,
                window=plan.window,
                mode=mode.name,
                chunk_size=mode.chunk_size,
                interval=mode.interval,
                context_length=mode.context_of(len(ids)),
                seed=session.seed,
            )
        keep_map, hidden_states = eviction.keep_map, eviction.hidden_states
        if eviction.felt and is_near(hidden_states, full) and torch.equal(hidden_states, baseline()):
            raise ImpossibleResultError(
                f"{plan.label} evicted entries of sample {sample.index} ({sample.where}) whose loss the last query "
                "feels, and its hidden states equal the baseline's to the last bit: nothing was evicted"
            )
        yield _Pass(plan.key, counted_kept(keep_map), hidden_states, time.perf_counter() - started, keep_map)


@contextmanager
def _in_memory(session: Session, sample: TextSample, running: str) -> Iterator[None]:
    """Says what was too large for the device."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise ModelError(
            f"sample {sample.index} ({sample.where}, {len(sample.ids)} tokens) with {running} does not fit into the "
            f"memory of {session.language_model.device}; a smaller `max_length` cuts the texts"
        ) from None


@dataclass(frozen=True, eq=False)
class _Pass:
    """A pass whose predictions are still to be measured."""

    method: str
    kept: Kept
    hidden_states: Float[Tensor, "N d"]
    seconds: float
    keep_map: KeepMap | None = None


def _measured(
    session: Session,
    sample: TextSample,
    ids: Int[Tensor, " N"],
    passes: Sequence[_Pass],
    full: Float[Tensor, "N d"],
) -> Iterator[Finished]:
    """The results of passes, in their order."""
    if not passes:
        return
    started = time.perf_counter()
    language_model = session.language_model
    names = {entry.method: f"{entry.method} on sample {sample.index} ({sample.where})" for entry in passes}
    states = {names[entry.method]: entry.hidden_states for entry in passes}
    # In mode "once" the tokens after the context are what it costs.
    context = session.mode.context_of(len(ids)) or 1
    with _in_memory(session, sample, "the language model's head"):
        likelihoods = measure_likelihoods(language_model.head, language_model.vocab_size, ids, states, full, context)
    each = (time.perf_counter() - started) / len(passes)
    for entry in passes:
        likelihood = likelihoods[names[entry.method]]
        result = SampleResult(
            method=entry.method,
            sample=sample.index,
            line=sample.line,
            n_tokens=len(ids),
            n_predicted=likelihood.n_predicted,
            nll=likelihood.nll,
            kl=likelihood.kl,
            n_agreed=likelihood.n_agreed,
            **vars(entry.kept),
        )
        pieces = pieces_of(language_model.tokenizer, sample.ids if entry.method == NO_CHUNKING else ())
        costs = TokenCosts(likelihood.token_nll, likelihood.token_kl, pieces) if sample.index == 0 else None
        yield Finished(result, entry.seconds + each, entry.keep_map, costs)
