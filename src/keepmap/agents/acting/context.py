"""What an agent has before it when it decides: its history, the state that it is in, and the time."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from keepmap.agents.collection.dataset import Histories, Streams
from keepmap.agents.environments.goals import Goal
from keepmap.agents.history import History
from keepmap.agents.transformer import DecisionTransformer
from keepmap.attention import AttentionLayer, AttentionSource, Landmarks, causal
from keepmap.core.arguments import as_integer, as_integers
from keepmap.core.html import card
from keepmap.core.outside.reporting import framed, write_page
from keepmap.errors import InputError, kind_of

__all__ = ["Context", "as_context", "context_at", "landmarks_of", "layers_of"]


@dataclass(frozen=True, eq=False)
class Context:
    """What agents have before them when they decide, of B rows; `Agent.attention_layers` takes one row.

    Attributes:
        history: of B rows.
        query_states: [B, S], the states that the agents are in.
        now: [B], the time of their next step.
        goal, learner, step: whose life the one row is taken from, and how many steps of it lie behind; None where that
            is not known.
        action: what the learner did next; None where that is not known.

    >>> history = History(
    ...     states=torch.zeros(1, 2, 2, dtype=torch.int64),
    ...     actions=torch.tensor([[0, 2]]),
    ...     rewards=torch.zeros(1, 2),
    ...     next_states=torch.tensor([[[1, 0], [1, 1]]]),
    ...     times=torch.tensor([[0, 1]]),
    ...     valid=torch.ones(1, 2, dtype=torch.bool),
    ... )
    >>> Context(history, query_states=torch.tensor([[1, 1]]), now=torch.tensor([2]), goal=(7, 2))
    Context(History(1 rows x 2 transitions, 2 of a row valid, times 0..1, states of 2 numbers), goal=(7, 2))
    """

    history: History
    query_states: Int[Tensor, "B S"]
    now: Int[Tensor, " B"]
    _: KW_ONLY
    goal: Goal | None = None
    learner: int | None = None
    step: int | None = None
    action: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.history, History):
            raise InputError(f"expected `history` to be a History, got {kind_of(self.history)}")
        rows = len(self.history.valid)
        for name, dimensions in (("query_states", 2), ("now", 1)):
            value = getattr(self, name)
            if not isinstance(value, Tensor) or value.dim() != dimensions or len(value) != rows:
                kind = f"one of {tuple(value.shape)}" if isinstance(value, Tensor) else kind_of(value)
                size = f"[{rows}, S]" if dimensions == 2 else f"[{rows}]"
                raise InputError(f"expected `{name}` to be a tensor {size}, as the history has rows, got {kind}")

    def agent_named(self, path: str | Path) -> AttentionSource:
        """The agent that a name or a folder is of; `keepmap.profile_attention` asks for it beside a Context.

        Raises:
            ModelError: there is none, or it is damaged.
        """
        from keepmap.agents.acting.agent import load_agent  # which imports this module

        return load_agent(path)

    def __repr__(self) -> str:
        names = ("goal", "learner", "step", "action")
        facts = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) is not None]
        return f"Context({', '.join([repr(self.history), *facts])})"

    def report(self, path: str | Path, *, length: int | None = None, overwrite: bool = False) -> Path:
        """Write one HTML file of the history, and of what each compressor holds of it. A report there is replaced.

        >>> import keepmap, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     histories = keepmap.collect("darkroom", learners=1, episodes=4, out=f"{folder}/small.hdf5")
        ...     context = keepmap.context_at(histories, learner=0, step=60, most=40, goal=histories.goals[0])
        ...     context.report(f"{folder}/report.html", length=10).read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'

        Args:
            length: that compressors keep at most; by default a fifth of the history.
            overwrite: whether a file that is no report is written over, too.

        Returns:
            The path.

        Raises:
            InputError: a length below 1.
            OutputError: the path cannot be written, or a file that is no report is there.
        """
        longest = None if length is None else as_integer("length", length, 1)
        return write_page(self, path, about={"length": longest}, overwrite=overwrite)

    def _repr_html_(self) -> str:
        """For notebooks: `repr`, and the history and the query of the first row."""
        state = ", ".join(map(str, self.query_states[0].tolist()))
        rows = [*self.history.table(), (str(int(self.now[0])), f"({state})", "?", "", "")]
        return framed(self, card(repr(self), ("time", "state", "action", "reward", "next state"), rows))


def as_context(inputs: object, horizon: int) -> Context:
    """The valid transitions of one history, and the query's state and time.

    Args:
        inputs: a Context or a History of one row; (history, query_states [1, S]); or (history, query_states, now [1]).
            By default the agent is where the last transition led, one step after it.

    Raises:
        InputError: no history of one row, or one that ended an episode without saying where the next one began.
    """
    if isinstance(inputs, Context):
        parts: tuple[object, ...] = (inputs.history, inputs.query_states, inputs.now)
    else:
        parts = inputs if isinstance(inputs, tuple) else (inputs,)
    history, states, now = (*parts, None, None)[:3]
    if (
        not isinstance(history, History)
        or not isinstance(states, Tensor | None)
        or not isinstance(now, Tensor | None)
        or len(parts) > 3
    ):
        raise InputError(
            f"expected `inputs` to be a History of one row, (history, query_states) or a Context, got {_kind(inputs)}"
        )
    if len(history.valid) != 1:
        raise InputError(
            f"expected `inputs` to be one history, got {len(history.valid)}; profile one at a time, as a batch of 1"
        )
    valid = history.valid[0]
    history = history.map(lambda part: part[:, valid])
    if states is None:
        if not history.valid.shape[1]:
            raise InputError("an empty history was given without the state that the agent is in; give both")
        if bool(_ends(history, horizon)[-1]):
            raise InputError(
                "the history's last transition ended an episode, so where it led is not where the agent is; give "
                "(history, query_states)"
            )
        states = history.next_states[:, -1]
    if now is None:
        now = history.times[:, -1] + 1 if history.valid.shape[1] else history.times.new_zeros(1)
    return Context(history, states, now)


def context_at(streams: Streams | Histories, learner: int, step: int, most: int, goal: Goal) -> Context:
    """The last `most` transitions before step `step` (from 0) of one learner, as what an agent would have before it.

    >>> import keepmap, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     histories = keepmap.collect("darkroom", learners=1, episodes=4, out=f"{folder}/small.hdf5")
    ...     context = keepmap.context_at(histories, learner=0, step=60, most=40, goal=histories.goals[0])
    >>> keepmap.profile_attention("tiny", context).shape  # of 40 transitions and the query
    (4, 4, 41)

    Args:
        streams: of the learners of one goal; or a file of histories, of which those of `goal` are taken.
        goal: that the learner learns.

    Raises:
        InputError: a step, a learner or a goal that is not there.
    """
    learner, step = as_integer("learner", learner), as_integer("step", step)
    most = as_integer("most", most, 1)
    goal = tuple(as_integers("goal", goal))
    if isinstance(streams, Histories):
        if goal not in streams.goals:
            raise InputError(f"expected `goal` to be one of the histories', got {goal!r}; `goals` of them lists them")
        streams = streams[streams.goals.index(goal)]
    if not isinstance(streams, Streams):
        raise InputError(f"expected `streams` to be Histories, or the Streams of one goal, got {kind_of(streams)}")
    steps, learners = streams.actions.shape
    if not 0 <= learner < learners:
        raise InputError(f"expected `learner` of goal {goal} to be 0 to {learners - 1}, got {learner}")
    if not 1 <= step < steps:
        raise InputError(f"expected `step` to be 1 to {steps - 1}, which have a history before them, got {step}")
    span = slice(max(0, step - most), step)
    states, actions, next_states = (
        torch.from_numpy(values[span, learner].astype(np.int64))[None]
        for values in (streams.states, streams.actions, streams.next_states)
    )
    times = torch.arange(span.start, span.stop)[None]
    history = History(
        states=states,
        actions=actions,
        rewards=torch.from_numpy(streams.rewards[span, learner].astype(np.float32))[None],
        next_states=next_states,
        times=times,
        valid=torch.ones_like(times, dtype=torch.bool),
        dones=torch.from_numpy(streams.dones[span, learner])[None],
    )
    return Context(
        history,
        torch.from_numpy(streams.states[step, learner].astype(np.int64))[None],
        torch.tensor([step]),
        goal=goal,
        learner=learner,
        step=step,
        action=int(streams.actions[step, learner]),
    )


def layers_of(model: DecisionTransformer, context: Context) -> list[AttentionLayer]:
    """Queries and keys of every layer, in one pass over the n transitions of one row and, last, the query.

    Every transition sees those before it and itself; the query sees all.
    """
    layers: list[AttentionLayer] = []
    history = context.history
    n = history.valid.shape[1] + 1
    times = torch.cat([history.times, context.now[:, None]], dim=1)

    def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        starts, ends = causal(n, q.device)
        layers.append(
            AttentionLayer(
                layer=len(layers),
                queries=q[0],
                keys=k[0],
                scaling=q.shape[-1] ** -0.5,
                sees_from=starts,
                sees_until=ends,
            )
        )
        return scaled_dot_product_attention(q, k, v, is_causal=True)

    with torch.no_grad():
        transitions = model.transition_tokens(
            history.states, history.actions, history.rewards, history.next_states, history.dones
        )
        tokens = torch.cat([transitions, model.query_tokens(context.query_states[:, None])], dim=1)
        model.answers(tokens, model.turns(times - times[:, :1]), over, n)
    return layers


def landmarks_of(context: Context, horizon: int) -> Landmarks:
    """Episodes, steps and rewards of the transitions, and of the query after them.

    Numbers follow from the times where episodes have `horizon` steps; where the history says that they end otherwise,
    they are counted from its first transition on.
    """
    history = context.history
    n = history.valid.shape[1]
    ends = _ends(history, horizon)
    times = torch.cat([history.times[0], context.now])
    if bool((ends == (times[:-1] % horizon == horizon - 1)).all()):
        episodes, steps = times // horizon + 1, times % horizon + 1
    else:
        episodes = torch.cat([ends.new_zeros(1), ends]).cumsum(0) + 1
        first = torch.zeros(n + 1, dtype=torch.int64)
        first[1:][ends] = torch.arange(1, n + 1)[ends]
        steps = torch.arange(n + 1) - first.cummax(0).values + 1
    rewards: tuple[float | None, ...] = (*map(float, history.rewards[0]), None)
    return Landmarks(tuple(episodes.tolist()), tuple(steps.tolist()), rewards)


def _ends(history: History, horizon: int) -> Tensor:
    """Which transitions of the one row ended an episode; where it does not say, every `horizon` steps did."""
    return history.times[0] % horizon == horizon - 1 if history.dones is None else history.dones[0]


def _kind(inputs: object) -> str:
    if isinstance(inputs, tuple):
        return f"({', '.join(type(part).__name__ for part in inputs)})"
    return type(inputs).__name__
