"""What every method costs on texts: `keepmap.compare`, which prints and writes nothing."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from keepmap.core.arguments import as_function, as_integer
from keepmap.core.executors.choice import as_executor, opened_executor
from keepmap.core.keep_map import KeepMap
from keepmap.core.progress import Progress
from keepmap.kv.comparison.inputs import model_hashes
from keepmap.kv.comparison.plan import Plan, plan_methods, plan_mode
from keepmap.kv.comparison.results import Comparison, SampleResult
from keepmap.kv.comparison.rows import ResultKey, build_comparison
from keepmap.kv.comparison.run import configuration, n_results
from keepmap.kv.comparison.session import Finished, Job, Passed, Session, evaluate_sample, make_session
from keepmap.kv.comparison.spreading import spread_session
from keepmap.kv.comparison.workers import Died
from keepmap.kv.data.sequences import texts_of
from keepmap.kv.data.texts import tokenize_texts
from keepmap.kv.method import Method
from keepmap.kv.token_costs import TokenCosts
from keepmap.language_model import LanguageModel, as_language_model, place_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["compare"]


def compare(
    model: "LanguageModel | PreTrainedModel | str | Path",
    texts: Any,
    methods: Any = "usual",
    *,
    density: float | None = None,
    budget_by: object = None,
    thresholds: Mapping[str, float | Real] | None = None,
    n_sink: int | None = None,
    window: int = Method.window,
    h2o_local_window_size: int | None = None,
    mode: str | None = None,
    chunk_size: int = 1,
    context_length: int | float | None = None,
    interval: int = 1,
    seed: int = 0,
    max_length: int | None = None,
    progress: Progress | None = None,
    executor: Executor | str | None = None,
) -> Comparison:
    """Measure what each method costs on texts: NLL, KL, agreement and densities, against the model without eviction.

    >>> import keepmap
    >>> comparison = keepmap.compare("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
    >>> [row["method"] for row in comparison.rows]
    ['Baseline (No Chunking)', 'Baseline (Chunked)', 'StreamingLLM']
    >>> comparison.methods[0].density_overall < 0.5
    True

    Args:
        model: a LanguageModel, a loaded Hugging Face model, a folder, a hub id, a GGUF file, "tiny" or
            "smollm2".
        texts: one text or a sequence of texts: strings, token ids [N], or what a tokenizer gives.
        methods: names and instances (of methods of your own, too), "all", or "usual": those of the guides.
        density: puts every method under the budget rule at this density, in [0, 1], with the same `n_sink` and
            `window` for all; by default each has its own rule and protection.
        budget_by: who shares what `density` gives, as in `evict`; by default each method's own.
        thresholds: method -> threshold; such a method runs under the threshold rule.
        n_sink: how many first positions are protected, for the methods that have sinks by default.
        window: how many last positions are protected, for the methods that have no window of their own.
        h2o_local_window_size: the same for `h2o`; by default 512, and `window` with `density`.
        mode: "decode", "chunked" or "once", as in `evict`; by default "decode", and "chunked" where a `chunk_size` is
            given. In "once" costs are over the tokens after the context.
        chunk_size: queries processed together; 1 is exact decoding.
        context_length: in mode "once", how many tokens of each text are its context, or which share of it as a float;
            by default half. A text that is no longer is skipped.
        interval: in mode "decode", decide after every so many queries alone, as in `evict`.
        seed: for methods that draw.
        max_length: tokens; each text is cut there.
        progress: called with the share of the work that is done.
        executor: whose workers read the texts, by docs/scale.md: any of `concurrent.futures`, which stays open, or
            "ray" or "ray://HOST:PORT" for a Ray cluster. Workers that are no threads of this process load a `model`
            that is a name or a folder; a loaded one does not reach them.

    Returns:
        A row per method and both baselines, every sample's result, and what each method kept of the first text
        (`keep_maps`, by method). Texts of fewer than two tokens are skipped.

    Raises:
        InputError: an option out of range, an unknown method, no text, or one that the model cannot read.
        ModelError: the model is not supported, does not fit into memory, or has no surrogate for a method.
        ImpossibleResultError: a result that cannot be, such as a value that is not finite.
    """
    when = plan_mode(mode, chunk_size, context_length, interval)
    plan = plan_methods(
        methods,
        thresholds=thresholds,
        density=density,
        n_sink=n_sink,
        window=window,
        h2o_local_window_size=h2o_local_window_size,
        budget_by=budget_by,
        mode=when,
    )
    seed, progress = as_integer("seed", seed), as_function("progress", progress)
    executor = as_executor("executor", executor)
    language_model = as_language_model(model)
    samples = tokenize_texts(
        texts_of(language_model, texts),
        language_model.tokenizer,
        vocab_size=language_model.vocab_size,
        max_length=max_length,
        max_positions=language_model.max_positions,
        model_name=language_model.name,
        context_length=when.context_length,
    )
    session = make_session(language_model, samples, plan, mode=when, seed=seed)
    results: dict[ResultKey, SampleResult] = {}
    keep_maps: dict[str, KeepMap] = {}
    token_costs: dict[str, TokenCosts] = {}
    n_steps, n_done = 2 * n_results(session.facts), 0
    with opened_executor(executor, None, torch.get_num_threads(), language_model.device.type) as workers:
        steps = _steps(session) if workers is None else _spread(workers, session, model)
        for step in steps:
            if isinstance(step, Died):
                continue
            if isinstance(step, Finished):
                result = step.result
                results[result.sample, result.method] = result
                # A KeepMap is as large as its text: those of one text are kept.
                if result.sample == 0 and step.keep_map is not None:
                    keep_maps[result.method] = step.keep_map
                if step.token_costs is not None:
                    token_costs[result.method] = step.token_costs
            n_done += 1
            if progress is not None:
                progress(n_done / n_steps)
    decided_by = configuration(
        session.facts, model_name=language_model.name, mode=when, seed=seed, max_length=max_length
    )
    comparison = build_comparison(results, session.facts, decided_by)
    assert comparison is not None
    in_order = {plan.key: keep_maps[plan.key] for plan in session.facts.plans}
    return replace(comparison, keep_maps=in_order, token_costs=token_costs)


def _steps(session: Session) -> Iterator[Passed | Finished]:
    for index in range(len(session.samples)):
        yield from evaluate_sample(session, index)


def _spread(executor: Executor, session: Session, model: object) -> Iterator[Passed | Finished | Died]:
    """The same by the workers of an executor."""
    job = None
    if isinstance(model, str | Path):
        job = Job(
            data_path="",
            text_field="",
            max_samples=None,
            max_length=None,
            chat_template=False,
            strict=False,
            model_name=str(model),
            dtype="auto",
            kvzap_scorer_model=None,
            kvzap_model_type="auto",
            plan=Plan(session.facts.plans, None, ()),
            mode=session.mode,
            seed=session.seed,
            output_dir=Path(),
            run="",
            model_place=place_of(str(model)),
        )
    hashes = model_hashes(session.language_model, session.methods)
    session = replace(session, facts=replace(session.facts, hashes=hashes))
    return spread_session(executor, session, job, "auto")
