"""What `keepmap attention` looks at: histories of an agent's goals, or a user's texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from keepmap.agents.acting import Agent, Context, context_at
from keepmap.agents.collection.dataset import Streams
from keepmap.agents.environments.goals import Goal, parse_cell
from keepmap.agents.history import History, shorten
from keepmap.agents.training.histories import configured_source
from keepmap.errors import InputError
from keepmap.kv.data.texts import read_texts, tokenize_texts
from keepmap.language_model import LanguageModel

__all__ = ["Sample", "agent_samples", "text_samples", "trajectory_samples"]

PHASES = ("Early Exploration", "Mid Exploration/Exploitation", "Late Exploitation")


@dataclass(frozen=True, eq=False)
class Sample:
    """One context or text that is looked at.

    Attributes:
        heading: what the console calls it. stem: what its files are called after.
        about: whose it is.
        looked: what `profile_attention` takes.
        context: an agent's, as it sees it; None for a text.
    """

    heading: str
    stem: str
    about: str
    looked: Any
    context: Context | None = None

    @property
    def title(self) -> str:
        """What figures call it: the heading, and of an agent's context the goal."""
        return self.heading if self.context is None else f"{self.heading}, goal {self.context.goal}"


SHORTEST = 6
"""Tokens: the four sinks always stay, and a verdict needs something to choose from."""


def agent_samples(agent: Agent, goal: str | None, samples: int, episodes: int | None, seed: int) -> tuple[Sample, ...]:
    """The held-out goals in turn (or one goal), each with a learner of its own, in the middle of an episode.

    Args:
        episodes: the history ends in that one, counted from 1; by default the last that fits whole into the context.

    Raises:
        InputError: a goal that the room does not have, no held-out goals, or an option out of range.
    """
    goals = _goals(agent, goal)
    horizon, most = agent.room.horizon, agent.config.n_transit
    if episodes is None:
        step = min(most, max(1, most // horizon) * horizon - horizon + max(1, horizon // 2))
    elif episodes < 1:
        raise InputError(f"expected `episodes` to be 1 or more, got {episodes}")
    else:
        step = (episodes - 1) * horizon + max(1, horizon // 2)
    learners = -(-samples // len(goals))
    lives = {cell: _lives(agent, cell, learners, step // horizon + 1, seed) for cell in goals[:samples]}
    chosen_samples = []
    for index in range(samples):
        cell, learner = goals[index % len(goals)], index // len(goals)
        context = context_at(lives[cell], learner, step, most, cell)
        chosen_samples.append(_sample(agent, context, f"Sample {index + 1}", f"sample{index}"))
    return tuple(chosen_samples)


def trajectory_samples(
    agent: Agent, goal: str | None, moments: int, episodes: int | None, seed: int
) -> tuple[Sample, ...]:
    """Moments of one learner's life, evenly spaced: early, in the middle and late.

    A learner that has converged sees the same again: a moment whose history is that of an earlier one is left out.

    Args:
        goal: by default the held-out goal that takes longest to reach, and so to learn.
        episodes: of the life; by default as many as its source algorithm usually needs.

    Raises:
        InputError: as `agent_samples`, or more moments than episodes.
    """
    cell, horizon = min(_goals(agent, goal), key=agent.room.optimum), agent.room.horizon
    life = agent.room.life or configured_source(agent.config).usual_episodes
    life = life if episodes is None else episodes
    if life < moments:
        raise InputError(f"expected `samples` to be at most {life}, the learner's episodes, got {moments}")
    lived = _lives(agent, cell, 1, life, seed)
    chosen_samples, contexts = list[Sample](), list[Context]()
    for index in range(moments):
        step = int((index + 0.5) * life / moments) * horizon + max(1, horizon // 2)
        phase = PHASES[3 * index // moments if moments > 1 else 0]
        context = context_at(lived, 0, min(step, life * horizon - 1), agent.config.n_transit, cell)
        same = next((place for place, earlier in enumerate(contexts) if _alike(earlier, context)), None)
        if same is not None:
            earlier = chosen_samples[same]
            chosen_samples[same] = replace(earlier, about=f"{earlier.about}; the same history at step {context.step}")
            continue
        contexts.append(context)
        sample = _sample(agent, context, f"Timestep {context.step} ({phase})", f"timestep{context.step}")
        chosen_samples.append(replace(sample, about=sample.about.replace(f", after {context.step} steps", "")))
    return tuple(chosen_samples)


def text_samples(
    language_model: LanguageModel,
    data_path: str | Path,
    text_field: str,
    samples: int,
    max_length: int | None,
    *,
    chat_template: bool = False,
    strict: bool = False,
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The first texts of a file or a folder, cut to `max_length` tokens, and what of it was skipped, and why.

    Raises:
        InputError: nothing there, or no text of six tokens or more; where `strict`, anything to be skipped.
    """
    texts, skipped = read_texts(data_path, text_field, samples, strict=strict)
    tokenized = tokenize_texts(
        texts,
        language_model.tokenizer,
        vocab_size=language_model.vocab_size,
        max_length=max_length,
        max_positions=language_model.max_positions,
        model_name=language_model.name,
        chat_template=chat_template,
        skipped=skipped,
        skip_short=not strict,
        skip_long=not strict,
    )
    name = Path(data_path).name
    long = [text for text in tokenized.samples if len(text.ids) >= SHORTEST]
    short = [text for text in tokenized.samples if len(text.ids) < SHORTEST]
    if short and (strict or not long):
        raise InputError(f"the text of {short[0].where} has fewer than {SHORTEST} tokens; give longer texts")
    skipped_here = (*map(str, tokenized.skipped), *(f"{text.where} has fewer than {SHORTEST} tokens" for text in short))
    chosen = tuple(
        Sample(
            heading=f"Sample {index + 1}",
            stem=f"sample{index}",
            about=name if text.where == name else f"{text.where} of {name}",
            looked=torch.tensor(text.ids),
        )
        for index, text in enumerate(long)
    )
    return chosen, skipped_here


def _sample(agent: Agent, context: Context, heading: str, stem: str) -> Sample:
    about = f"goal {context.goal}, learner {context.learner}, after {context.step} steps"
    compressor = agent.compressor
    if compressor is not None:
        # What this agent sees when it acts is what its compressor leaves.
        history = context.history.at(context.query_states)
        if compressor.needs_attention:
            history = replace(history, attention=agent.attention(history, context.query_states))
        short = shorten(context.history, compressor.select(history))
        context = replace(context, history=_known(short))
        about += f", of which {compressor.name} keeps {int(short.valid.sum())}"
    return Sample(heading, stem, about, context, context)


def _alike(context: Context, other: Context) -> bool:
    """Whether an agent sees the same in both, but for the time."""
    parts = ("states", "actions", "rewards", "next_states")
    return torch.equal(context.query_states, other.query_states) and all(
        torch.equal(getattr(context.history, part), getattr(other.history, part)) for part in parts
    )


def _known(history: History) -> History:
    """The valid transitions of its one row."""
    real = history.valid[0]
    return History(**{name: value[:, real] for name, value in vars(history).items() if value is not None})


def _lives(agent: Agent, goal: Goal, learners: int, episodes: int, seed: int) -> Streams:
    source = configured_source(agent.config)
    source.check()
    return source.learn(agent.room, [goal], learners, episodes, seed)


def _goals(agent: Agent, goal: str | None) -> Sequence[Goal]:
    if goal is None:
        if not agent.held_out:
            raise InputError(f"{agent.name} has no held-out goals; name one with `goal`")
        return agent.held_out
    cell = parse_cell(goal)
    agent.room.index(cell)
    return [cell]
