"""What an agent remembers while it acts: the window of its last transitions, and the keys and values made of them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.agents.acting.decoder import Decoder, See
from keepmap.agents.config.sizes import TRANSITION
from keepmap.agents.history import History
from keepmap.agents.transformer import DecisionTransformer
from keepmap.core.outside.memory import require_memory

__all__ = ["Cache", "Memory", "Step", "Window"]

HIDDEN = -1e30  # no infinity: a position before which nothing is to be seen would be NaN
TOKENS = 1200  # computed at once: what a layer makes of them stays in a core's own memory


@dataclass(frozen=True, kw_only=True)
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
        require_memory(
            agents * size * TRANSITION, f"a context of {size:,} transitions of {agents:,} agents", "take fewer agents"
        )
        self.size, self.slide = size, slide
        self.n = 0
        self.times_now = torch.zeros(agents, dtype=torch.int64)
        self._states, self._next = (torch.zeros(agents, size, coordinates, dtype=torch.int64) for _ in range(2))
        self._actions, self._times = (torch.zeros(agents, size, dtype=torch.int64) for _ in range(2))
        self._rewards = torch.zeros(agents, size)
        self._valid, self._dones = (torch.zeros(agents, size, dtype=torch.bool) for _ in range(2))
        held = (self._states, self._actions, self._rewards, self._next, self._dones, self._valid, self._times)
        # The same memory: an array's single places are written at a fifth of a tensor's cost.
        self._held = [values.numpy() for values in held]

    def add(self, step: Step) -> bool:
        """Remember a step; whether the window has slid."""
        slid = self.n == self.size
        if slid:
            self.n = self.size - self.slide
            for held in self._held:
                held[:, : self.n] = held[:, self.slide :].copy()
        values = (step.states, step.actions, step.rewards, step.next_states, step.dones, step.valid, self.times_now)
        for held, value in zip(self._held, values, strict=True):
            held[:, self.n] = value.numpy()
        self.times_now = self.times_now + step.valid
        self.n += 1
        return slid

    def history(self, attention: Float[Tensor, "B n"] | None = None) -> History:
        """The remembered transitions of every agent."""
        n = self.n
        return History(
            states=self._states[:, :n],
            actions=self._actions[:, :n],
            rewards=self._rewards[:, :n],
            next_states=self._next[:, :n],
            times=self._times[:, :n],
            valid=self._valid[:, :n],
            attention=attention,
            dones=self._dones[:, :n],
        )


class Memory:
    """What a compressor that remembers has kept of the lives of B agents, and what has come since."""

    def __init__(self, agents: int, coordinates: int) -> None:
        self.times_now = torch.zeros(agents, dtype=torch.int64)
        cells, flat = torch.zeros(agents, 0, coordinates, dtype=torch.int64), self.times_now[:, None][:, :0]
        self._held = History(
            states=cells,
            actions=flat,
            rewards=flat.float(),
            next_states=cells,
            times=flat,
            valid=flat.bool(),
            dones=flat.bool(),
        )

    def add(self, step: Step) -> bool:
        """Remember a step; a memory never slides."""
        came = {name: value[:, None] for name, value in vars(step).items()}
        came["times"] = self.times_now[:, None]
        held = {name: value for name, value in vars(self._held).items() if name in came}
        self._held = History(**{name: torch.cat([held[name], value], 1) for name, value in came.items()})
        self.times_now = self.times_now + step.valid
        return False

    def keep(self, kept: History) -> None:
        """Forget all but what was kept."""
        self._held = replace(kept, attention=None, here=None)

    def history(self, attention: Float[Tensor, "B n"] | None = None) -> History:
        """The remembered transitions of every agent."""
        return replace(self._held, attention=attention)


class Cache:
    """Keys and values of a window's transitions in every layer, so that a step computes two tokens and no more.

    Its transitions are those of one window, from its first on: after the window has slid the cache begins again, since
    the transitions that stay have seen those that went.
    """

    def __init__(self, model: DecisionTransformer, agents: int, size: int) -> None:
        shape = model.shape
        self._decoder = Decoder(model, size + 1)
        self._n = 0
        self._heads = shape.n_head
        places = (2, agents * shape.n_head, shape.n_embd // shape.n_head, size + 1)
        self._layers = [torch.zeros(places) for _ in range(shape.n_layer)]

    def forget(self) -> None:
        """Empty the cache, once the window has slid."""
        self._n = 0

    def answer(
        self, history: History, query_states: Int[Tensor, "B S"], now: Int[Tensor, " B"], look: bool = False
    ) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B n"] | None]:
        """Logits of the next action, and where asked for the query's attention to the history.

        Transitions of `history` that the cache has not yet seen are added to it.
        """
        n = history.valid.shape[1]
        new = n - self._n + 1
        past, time = history.times.numpy(), now.numpy()[:, None]
        # Ages are what counts: times from the window's first are small.
        times = np.concatenate([past[:, self._n :], time], 1) - (past if n else time)[:, :1]
        valid, hidden = history.valid.numpy(), None
        if not valid.all():
            hidden = torch.zeros(len(valid), 1, 1, n + 1)
            hidden[:, 0, 0, :n].masked_fill_(~history.valid, HIDDEN)
        tokens = self._decoder.tokens(history, self._n, query_states)
        # The query's own place is behind the last transition, where the next one will replace it.
        held = [layer.numpy()[..., : n + 1] for layer in self._layers]
        self._n = n
        some, heads = max(1, TOKENS // new), self._heads
        logits, attention = [], []
        for start in range(0, len(valid), some):
            rows = slice(start, start + some)
            weights: list[Float[Tensor, "b n"]] = []
            logits.append(
                self._decoder.answer(
                    tokens[rows],
                    times[rows],
                    [layer[:, start * heads : (start + some) * heads] for layer in held],
                    None if hidden is None else hidden[rows],
                    _note_last(weights) if look else None,
                )
            )
            if look:
                attention.append(torch.stack(weights).mean(0))
        return torch.cat(logits), torch.cat(attention) if look else None


def _note_last(weights: list[Float[Tensor, "B n"]]) -> See:
    """Notes the last query's attention to what is before it, a mean over heads."""
    return lambda seen: weights.append(seen[:, :, -1, :-1].mean(1))
