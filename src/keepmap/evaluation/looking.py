"""What an agent's layers attend with in one history, and where that history has its episodes."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from keepmap.attention.landmarks import Landmarks
from keepmap.attention.layer import AttentionLayer, causal
from keepmap.errors import InputError
from keepmap.methods.history.values import History
from keepmap.models.decision import DecisionTransformer

__all__ = ["as_context", "landmarks_of", "layers_of"]


def as_context(looked: object, horizon: int) -> tuple[History, Int[Tensor, "1 S"]]:
    """The valid transitions of one history, and the query's state: by default where the last transition led.

    Args:
        looked: a History of one row, or (history, query_states [1, S]).

    Raises:
        InputError: no history of one row, or one that ended an episode without saying where the next one began.
    """
    history, states = looked if isinstance(looked, tuple) and len(looked) == 2 else (looked, None)
    if not isinstance(history, History) or not isinstance(states, Tensor | None):
        raise InputError(
            f"a {type(looked).__name__} was given to look at; give a History of one row, or (history, query_states)"
        )
    if len(history.valid) != 1:
        raise InputError(f"{len(history.valid)} histories were given at once; profile one at a time, as a batch of 1")
    real = history.valid[0]
    parts = {name: value[:, real] for name, value in vars(history).items() if value is not None}
    history = History(**parts)
    if states is None:
        if not history.valid.shape[1]:
            raise InputError("an empty history was given without the state that the agent is in; give both")
        if bool(_ends(history, horizon)[-1]):
            raise InputError(
                "the history's last transition ended an episode, so where it led is not where the agent is; give "
                "(history, query_states)"
            )
        states = history.next_states[:, -1]
    return history, states


def layers_of(model: DecisionTransformer, history: History, query_states: Int[Tensor, "1 S"]) -> list[AttentionLayer]:
    """Queries and keys of every layer, in one pass over the n transitions and, last, the query.

    Every transition sees those before it and itself; the query sees all. The query's time is that of the step after
    the last one.
    """
    found: list[AttentionLayer] = []
    n = history.valid.shape[1] + 1
    times = history.times - history.times[:, :1]
    now = times[:, -1:] + 1 if n > 1 else times.new_zeros(1, 1)

    def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found.append(AttentionLayer(len(found), q[0], k[0], q.shape[-1] ** -0.5, *causal(n, q.device)))
        return scaled_dot_product_attention(q, k, v, is_causal=True)

    with torch.no_grad():
        transitions = model.transition_tokens(
            history.states, history.actions, history.rewards, history.next_states, history.dones
        )
        tokens = torch.cat([transitions, model.query_tokens(query_states[:, None])], dim=1)
        model.answers(tokens, model.turns(torch.cat([times, now], dim=1)), over, n)
    return found


def landmarks_of(history: History, horizon: int) -> Landmarks:
    """Episodes, steps and rewards of the valid transitions of one row, and of the query after them.

    Numbers follow from the times where episodes have `horizon` steps; where the history says that they end otherwise,
    they are counted from its first transition on.
    """
    n = history.valid.shape[1]
    ends = _ends(history, horizon)
    times = history.times[0]
    if bool((ends == (times % horizon == horizon - 1)).all()):
        whole = torch.cat([times, times[-1:] + 1 if n else times.new_zeros(1)])
        episodes, steps = whole // horizon + 1, whole % horizon + 1
    else:
        before = torch.cat([ends.new_zeros(1), ends]).cumsum(0)
        episodes = before + 1
        first = torch.zeros(n + 1, dtype=torch.int64)
        first[1:][ends] = torch.arange(1, n + 1)[ends]
        steps = torch.arange(n + 1) - first.cummax(0).values + 1
    rewards: tuple[float | None, ...] = (*map(float, history.rewards[0]), None)
    return Landmarks(tuple(episodes.tolist()), tuple(steps.tolist()), rewards)


def _ends(history: History, horizon: int) -> Tensor:
    """Which transitions of the one row ended an episode; where it does not say, every `horizon` steps did."""
    return history.times[0] % horizon == horizon - 1 if history.dones is None else history.dones[0]
