"""What an agent remembers while it acts: the window of its last transitions, and the keys and values made of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.methods.history.values import History
from keepmap.models import attend
from keepmap.models.attend import Attend
from keepmap.models.decision import DecisionTransformer

__all__ = ["Cache", "Step", "Window"]


@dataclass(frozen=True)
class Step:
    """One step of B agents; where `valid` is False an agent made none."""

    states: Int[Tensor, "B S"]
    actions: Int[Tensor, " B"]
    rewards: Float[Tensor, " B"]
    next_states: Int[Tensor, "B S"]
    dones: Bool[Tensor, " B"]
    valid: Bool[Tensor, " B"]


class Window:
    """The last transitions of B agents; when `size` of them are held and one more comes, the `slide` oldest go first.

    The transitions that a window holds, and when it slides, are the same for all agents: an agent that made no step
    has a place that is not valid.
    """

    def __init__(self, agents: int, coordinates: int, size: int, slide: int) -> None:
        self.size, self.slide = size, slide
        self.n = 0
        self.times_now = torch.zeros(agents, dtype=torch.int64)
        self._states, self._next = (torch.zeros(agents, size, coordinates, dtype=torch.int64) for _ in range(2))
        self._actions, self._times = (torch.zeros(agents, size, dtype=torch.int64) for _ in range(2))
        self._rewards = torch.zeros(agents, size)
        self._valid, self._dones = (torch.zeros(agents, size, dtype=torch.bool) for _ in range(2))

    def add(self, step: Step) -> bool:
        """Remember a step; whether the window has slid."""
        slid = self.n == self.size
        if slid:
            kept = self.size - self.slide
            for held in (self._states, self._next, self._actions, self._times, self._rewards, self._valid, self._dones):
                held[:, :kept] = held[:, self.slide :].clone()
            self.n = kept
        here = self.n
        self._states[:, here], self._next[:, here] = step.states, step.next_states
        self._actions[:, here], self._rewards[:, here] = step.actions, step.rewards
        self._times[:, here], self._valid[:, here] = self.times_now, step.valid
        self._dones[:, here] = step.dones
        self.times_now = self.times_now + step.valid
        self.n += 1
        return slid

    def history(self, attention: Float[Tensor, "B n"] | None = None) -> History:
        """What is remembered."""
        n = self.n
        return History(
            self._states[:, :n],
            self._actions[:, :n],
            self._rewards[:, :n],
            self._next[:, :n],
            self._times[:, :n],
            self._valid[:, :n],
            attention,
            self._dones[:, :n],
        )


class Cache:
    """Keys and values of a window's transitions in every layer, so that a step computes two tokens and no more.

    Its transitions are those of one window, from its first on: after the window has slid the cache is made anew, since
    the transitions that stay have seen those that went.
    """

    def __init__(self, model: DecisionTransformer, agents: int, size: int) -> None:
        shape = model.shape
        self._model = model
        self._n = 0
        width = shape.n_embd // shape.n_head
        layers = [torch.zeros(2, agents, shape.n_head, size + 1, width) for _ in range(shape.n_layer)]
        self._layers = layers

    def forget(self) -> None:
        """Begin again: the window has slid."""
        self._n = 0

    def answer(
        self, history: History, query_states: Int[Tensor, "B S"], now: Int[Tensor, " B"], look: bool = False
    ) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B n"] | None]:
        """Logits of the next action, and where asked for the query's attention to the history.

        Transitions of `history` that the cache has not yet seen are added to it.
        """
        model, first = self._model, self._n
        new = history.valid.shape[1] - first
        gone = ~history.valid[:, first:]
        transitions = model.transition_tokens(
            history.states[:, first:].masked_fill(gone[..., None], 0),
            history.actions[:, first:].masked_fill(gone, 0),
            history.rewards[:, first:].masked_fill(gone, 0.0),
            history.next_states[:, first:].masked_fill(gone[..., None], 0),
            None if history.dones is None else history.dones[:, first:],
        )
        tokens = torch.cat([transitions, model.query_tokens(query_states[:, None])], dim=1)
        times = torch.cat([history.times[:, first:], now[:, None]], dim=1)
        # Ages are what counts: times from the window's first keep the angles small, and so exact.
        turns = model.turns(times - history.times[:, :1] if history.times.shape[1] else times - now[:, None])
        weights: list[Float[Tensor, "B n"]] = []
        logits = model.answers(tokens, turns, self._over(first, new, history.valid, weights if look else None), 1)
        self._n = first + new
        attention = torch.stack(weights).mean(0) if look else None
        return logits[:, 0], attention

    def _over(
        self, first: int, new: int, valid: Bool[Tensor, "B n"], weights: list[Float[Tensor, "B n"]] | None
    ) -> Attend:
        """Attention of the new transitions and the query, over what is held and them; layer after layer."""
        n = first + new
        visible = self._visible(first, new, valid)
        layers = iter(self._layers)

        def over(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            held = next(layers)
            # The query's own key stands behind the last transition, where the next one will replace it.
            held[0, :, :, first : n + 1], held[1, :, :, first : n + 1] = k, v
            keys, values = held[0, :, :, : n + 1], held[1, :, :, : n + 1]
            rows = visible[..., -q.shape[2] :, :]
            if weights is None:
                return attend.dropping(rows)(q, keys, values)
            return attend.explicit(rows, lambda seen: weights.append(seen[:, :, -1, :-1].mean(1)))(q, keys, values)

        return over

    @staticmethod
    def _visible(first: int, new: int, valid: Bool[Tensor, "B n"]) -> Bool[Tensor, "*B_1 rows N"]:
        """Each new position sees the valid ones before it, and itself."""
        n = first + new
        here = torch.arange(first, n + 1)[:, None]
        there = torch.arange(n + 1)
        if valid.all():
            return there <= here
        known = torch.cat([valid, valid.new_ones(len(valid), 1)], dim=1)
        return (((there <= here) & known[:, None]) | (there == here))[:, None]
