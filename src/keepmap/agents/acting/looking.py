"""What an agent's layers attend with in one history, and where that history has its episodes."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from keepmap.agents.history import History
from keepmap.agents.transformer import DecisionTransformer
from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer, causal
from keepmap.errors import InputError

__all__ = ["Looked", "as_context", "landmarks_of", "layers_of"]


@dataclass(frozen=True, eq=False)
class Looked:
    """What an agent looks at when it decides.

    Attributes:
        history: the valid transitions of one row.
        query_states: [1, S], the state that it is in.
        now: [1], the time of its next step.
    """

    history: History
    query_states: Int[Tensor, "1 S"]
    now: Int[Tensor, " 1"]


def as_context(inputs: object, horizon: int) -> Looked:
    """The valid transitions of one history, and the query's state and time.

    Args:
        inputs: a History of one row; (history, query_states [1, S]); or (history, query_states, now [1]). By default
            the agent is where the last transition led, one step after it.

    Raises:
        InputError: no history of one row, or one that ended an episode without saying where the next one began.
    """
    history, states, now = ((*inputs, None, None)[:3]) if isinstance(inputs, tuple) else (inputs, None, None)
    if not isinstance(history, History) or not all(isinstance(one, Tensor | None) for one in (states, now)):
        raise InputError(
            f"a {type(inputs).__name__} was given to look at; give a History of one row, or (history, query_states)"
        )
    if len(history.valid) != 1:
        raise InputError(f"{len(history.valid)} histories were given at once; profile one at a time, as a batch of 1")
    real = history.valid[0]
    history = History(**{name: value[:, real] for name, value in vars(history).items() if value is not None})
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
    return Looked(history, states, now)


def layers_of(model: DecisionTransformer, looked: Looked) -> list[AttentionLayer]:
    """Queries and keys of every layer, in one pass over the n transitions and, last, the query.

    Every transition sees those before it and itself; the query sees all.
    """
    found: list[AttentionLayer] = []
    history = looked.history
    n = history.valid.shape[1] + 1
    whole = torch.cat([history.times, looked.now[:, None]], dim=1)

    def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found.append(AttentionLayer(len(found), q[0], k[0], q.shape[-1] ** -0.5, *causal(n, q.device)))
        return scaled_dot_product_attention(q, k, v, is_causal=True)

    with torch.no_grad():
        transitions = model.transition_tokens(
            history.states, history.actions, history.rewards, history.next_states, history.dones
        )
        tokens = torch.cat([transitions, model.query_tokens(looked.query_states[:, None])], dim=1)
        model.answers(tokens, model.turns(whole - whole[:, :1]), over, n)
    return found


def landmarks_of(looked: Looked, horizon: int) -> Landmarks:
    """Episodes, steps and rewards of the transitions, and of the query after them.

    Numbers follow from the times where episodes have `horizon` steps; where the history says that they end otherwise,
    they are counted from its first transition on.
    """
    history = looked.history
    n = history.valid.shape[1]
    ends = _ends(history, horizon)
    times = torch.cat([history.times[0], looked.now])
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
