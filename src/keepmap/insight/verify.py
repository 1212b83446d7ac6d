"""The door to the test by deletion: a model of either wing, and what it is tested on, however they are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from keepmap.agents.acting import Agent, Context, load_agent
from keepmap.attention import Indices, as_tokens, is_encoding
from keepmap.core.arguments import as_function, as_integer, shown
from keepmap.core.progress import Progress
from keepmap.errors import InputError
from keepmap.insight.verification import DRAWS, Verification
from keepmap.insight.verify_agent import verify_agent
from keepmap.insight.verify_texts import verify_texts
from keepmap.language_model import LanguageModel, as_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["verify"]


def verify(
    model: "Agent | LanguageModel | PreTrainedModel | str | Path",
    contexts: Any,
    *,
    layers: Indices = None,
    draws: int = DRAWS,
    episodes: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Drop what the insights into each layer say can go, drop as much at random, and compare what either costs.

    >>> from keepmap.language_model import load_language_model
    >>> language_model = load_language_model("tiny")
    >>> result = verify(language_model, "The code of river is 4821. The code of stone is 9310.", layers=1, draws=1)
    >>> result.host, result.n_samples
    ('language model', 1)

    Args:
        model: an agent; or a language model: a loaded one, ours or of transformers, its folder, hub id or name. Where
            `contexts` are agents' contexts, a folder or name is that of an agent.
        contexts: of an agent, its Contexts, each with its goal and the learner's action, as `keepmap.context_at` gives
            them; of a language model, texts: strings, token ids, or what a tokenizer gives. One alone is taken too.
        layers: whose insights are tested, all by default.
        draws: random choices for each trial, 1 or more; their mean cost is compared.
        episodes: of each held-out goal, which an agent plays four times over under each rule's suggestion and against
            random choices; 0, the default, plays none. 20 are `keepmap attention --verify`'s, and take minutes.
        seed: of the draws, and of the episodes that an agent plays.
        progress: called with the share of the work that is done.

    Raises:
        InputError: what is given is not of these kinds, nothing is given, or a text is too short.
        ModelError: the model cannot be loaded or is not supported.
    """
    draws, seed = as_integer("draws", draws, 1), as_integer("seed", seed)
    episodes, progress = as_integer("episodes", episodes), as_function("progress", progress)
    given = _listed(contexts)
    if isinstance(model, Agent) or (given and isinstance(given[0], Context)):
        agent_contexts = [context for context in given if isinstance(context, Context)]
        if len(agent_contexts) < len(given):
            other = next(context for context in given if not isinstance(context, Context))
            raise InputError(
                f"expected `contexts` of an agent to be Contexts, got {shown(other)}; take them by keepmap.context_at"
            )
        agent = load_agent(_agent_or_path(model))
        return verify_agent(
            agent, agent_contexts, layers=layers, draws=draws, episodes=episodes, seed=seed, progress=progress
        )
    if episodes:
        raise InputError(f"expected `episodes` to be 0, as a language model plays none, got {episodes}")
    language_model = as_language_model(model)
    texts = [_tokens(language_model, text, number) for number, text in enumerate(given)]
    return verify_texts(language_model, texts, layers=layers, draws=draws, seed=seed, progress=progress)


def _agent_or_path(model: object) -> Agent | str | Path:
    if isinstance(model, Agent | str | Path):
        return model
    raise InputError(
        f"expected `model` to be an agent or its folder, as `contexts` are agents' Contexts, got {shown(model)}"
    )


def _listed(contexts: object) -> list[object]:
    """The contexts or texts; one alone as a list of one."""
    if isinstance(contexts, str | Mapping | Context) or is_encoding(contexts):
        return [contexts]
    if isinstance(contexts, Tensor):
        return [contexts] if contexts.ndim < 2 else list(contexts)
    if not isinstance(contexts, Sequence):
        raise InputError(f"expected `contexts` to be agents' Contexts or texts, got {shown(contexts)}")
    ids = bool(contexts) and all(isinstance(token, int) and not isinstance(token, bool) for token in contexts)
    return [contexts] if ids else list(contexts)


def _tokens(language_model: LanguageModel, text: object, number: int) -> Int[Tensor, " N"]:
    try:
        return as_tokens(language_model, torch.tensor(text) if isinstance(text, tuple) else text, "contexts")
    except InputError as error:
        raise InputError(f"text {number}: {error}") from None
