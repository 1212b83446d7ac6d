"""The Algorithm Distillation transformer: a history of transitions and a query state in, action logits out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout, relu

from keepmap.agents import kernels
from keepmap.agents.history import History
from keepmap.agents.kernels import Attend
from keepmap.errors import ModelError

__all__ = ["DecisionShape", "DecisionTransformer"]

ROTARY_BASE = 300.0
SPREAD = 0.5  # of the embeddings at the start of training


@dataclass(frozen=True, kw_only=True)
class DecisionShape:
    """The sizes of a decision transformer.

    Attributes:
        observation_sizes: how many values each coordinate of a state has.
        n_actions: how many actions there are.
        n_embd, n_layer, n_head, n_inner: width, depth, attention heads, width inside the feed-forward part.
        dones: whether transitions say that they ended an episode.
        dropout, attn_dropout: of the residual branches and of the attention weights, in training.
    """

    observation_sizes: tuple[int, ...]
    n_actions: int
    n_embd: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_inner: int = 256
    dones: bool = False
    dropout: float = 0.0
    attn_dropout: float = 0.0


class TransformerBlock(nn.Module):
    """Attention and a feed-forward part, each added to its input after a norm of it."""

    def __init__(self, shape: DecisionShape) -> None:
        super().__init__()
        d = shape.n_embd
        self.n_head = shape.n_head
        self.before_attention, self.before_inner = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query, self.key_value, self.out = nn.Linear(d, d), nn.Linear(d, 2 * d), nn.Linear(d, d)
        self.inner, self.outer = nn.Linear(d, shape.n_inner), nn.Linear(shape.n_inner, d)
        self.dropout = shape.dropout

    def forward(
        self, x: Float[Tensor, "B N d"], turns: Tensor, over: Attend, last: int | None = None
    ) -> Float[Tensor, "B Q d"]:
        """The block's output at the last `last` positions (all by default); `turns` rotates queries and keys."""
        normed = self.before_attention(x)
        rows = slice(None) if last is None else slice(x.shape[1] - last, None)
        q = self._heads(self.query(normed[:, rows]))
        k, v = (self._heads(part) for part in self.key_value(normed).chunk(2, -1))
        q, k = _turned(q, turns[..., rows, :]), _turned(k, turns)
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                mixed = over(q, k, v)
        else:
            mixed = over(q, k, v)
        x = x[:, rows] + self._thinned(self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self._thinned(self.outer(relu(self.inner(self.before_inner(x)))))

    def _thinned(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B N d"]:
        return dropout(x, self.dropout) if self.training and self.dropout else x

    def _heads(self, x: Float[Tensor, "B N d"]) -> Float[Tensor, "B H N D"]:
        # Attention is in float32 under autocast too: its kernels are slower in bfloat16 on CPUs.
        return x.float().unflatten(-1, (self.n_head, -1)).transpose(1, 2)


class DecisionTransformer(nn.Module):
    """Reads a history, oldest first, and answers a query state; the same weights for every length and age.

    A position's time is its step; rotary positions make attention depend on ages alone. Coordinates of a cell are
    embedded one by one, so that what is learned about a column or a row holds for cells never rewarded in training.

    Reference: Laskin et al., In-context Reinforcement Learning with Algorithm Distillation, arXiv 2210.14215.
    Differs from the paper: one token for a transition, the query state last; rotary positions; norms before the
        branches.
    """

    def __init__(self, shape: DecisionShape) -> None:
        super().__init__()
        self.shape = shape
        d = shape.n_embd
        self.state = nn.ModuleList(nn.Embedding(size, d) for size in shape.observation_sizes)
        self.action = nn.Embedding(shape.n_actions, d)
        self.reward = nn.Linear(1, d, bias=False)
        self.next_state = nn.ModuleList(nn.Embedding(size, d) for size in shape.observation_sizes)
        self.done = nn.Embedding(2, d) if shape.dones else None
        self.query_state = nn.ModuleList(nn.Embedding(size, d) for size in shape.observation_sizes)
        self.blocks = nn.ModuleList(TransformerBlock(shape) for _ in range(shape.n_layer))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, shape.n_actions)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=SPREAD)

    def transition_tokens(
        self,
        states: Int[Tensor, "B n S"],
        actions: Int[Tensor, "B n"],
        rewards: Float[Tensor, "B n"],
        next_states: Int[Tensor, "B n S"],
        dones: Bool[Tensor, "B n"] | None = None,
    ) -> Float[Tensor, "B n d"]:
        """One token for each transition; `dones` is needed where the model's shape asks for it."""
        known = self.action(actions) + rewards.to(self.reward.weight.dtype).unsqueeze(-1) * self.reward.weight[:, 0]
        if self.done is not None:
            if dones is None:
                raise ModelError("the agent was trained to know where episodes end; give the history's dones")
            known = known + self.done(dones.long())
        return known + _embedded(self.state, states) + _embedded(self.next_state, next_states)

    def query_tokens(self, states: Int[Tensor, "B Q S"]) -> Float[Tensor, "B Q d"]:
        """One token for each state that is to be answered."""
        return _embedded(self.query_state, states)

    def turns(self, times: Int[Tensor, "*rows N"]) -> Tensor:
        """Rotations of the pairs of each head's channels: complex numbers, [*rows, N, D / 2], or [B, 1, N, D / 2]."""
        pairs = self.shape.n_embd // self.shape.n_head // 2
        rates = ROTARY_BASE ** (-torch.arange(pairs, device=times.device) / pairs)
        angles = times.unsqueeze(-1) * rates
        turns = torch.polar(torch.ones_like(angles), angles)
        return turns.unsqueeze(1) if times.dim() > 1 else turns

    def forward(
        self,
        states: Int[Tensor, "B n S"],
        actions: Int[Tensor, "B n"],
        rewards: Float[Tensor, "B n"],
        next_states: Int[Tensor, "B n S"],
        fused: bool = True,
        dones: Bool[Tensor, "B n"] | None = None,
    ) -> Float[Tensor, "B n A"]:
        """The logits of every step's action, each from the transitions before it: context lengths 0 to n - 1.

        Args:
            fused: attend by fused kernels; False for an explicit softmax.
        """
        n = states.shape[1]
        tokens = torch.cat(
            [self.transition_tokens(states, actions, rewards, next_states, dones), self.query_tokens(states)], dim=1
        )
        times = torch.arange(n, device=states.device).repeat(2)
        over: Attend = kernels.fused_all_steps
        if not fused:
            over = kernels.explicit(kernels.packed_visible(n, states.device))
        elif self.training and self.shape.attn_dropout:
            over = kernels.dropping(kernels.packed_visible(n, states.device), self.shape.attn_dropout)
        return self.answers(tokens, self.turns(times), over, n)

    def query_logits(
        self,
        history: History,
        query_states: Int[Tensor, "B S"],
        now: Int[Tensor, " B"],
        see: Callable[[Float[Tensor, "B H Q N"]], None] | None = None,
    ) -> Float[Tensor, "B A"]:
        """The logits of one action, from the valid transitions, at their times, of each row.

        Args:
            history: what stands where it is not valid is not looked at.
            now: the time of the query.
            see: called with the attention weights of each layer, over the n transitions and, last, the query.
        """
        gone = ~history.valid
        transitions = self.transition_tokens(
            history.states.masked_fill(gone[..., None], 0),
            history.actions.masked_fill(gone, 0),
            history.rewards.masked_fill(gone, 0.0),
            history.next_states.masked_fill(gone[..., None], 0),
            history.dones,
        )
        tokens = torch.cat([transitions, self.query_tokens(query_states[:, None])], dim=1)
        times = torch.cat([history.times.masked_fill(gone, 0), now[:, None]], dim=1)
        visible = _before_and_valid(history.valid)
        over: Attend
        if see is not None:
            over = kernels.explicit(visible, see)
        else:
            over = kernels.dropping(visible, self.shape.attn_dropout if self.training else 0.0)
        return self.answers(tokens, self.turns(times), over, 1)[:, 0]

    def answers(self, tokens: Float[Tensor, "B N d"], turns: Tensor, over: Attend, last: int) -> Float[Tensor, "B Q A"]:
        """Logits at the last `last` tokens, where the blocks attend by `over`."""
        x = tokens
        for block in self.blocks[:-1]:
            x = block(x, turns, over)
        return self.head(self.norm(self.blocks[-1](x, turns, over, last))).float()


def _embedded(coordinates: nn.ModuleList, cells: Int[Tensor, "B n S"]) -> Float[Tensor, "B n d"]:
    total = coordinates[0](cells[..., 0])
    for axis in range(1, len(coordinates)):
        total = total + coordinates[axis](cells[..., axis])
    return total


def _turned(x: Float[Tensor, "B H N D"], turns: Tensor) -> Float[Tensor, "B H N D"]:
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turns).flatten(-2)


def _before_and_valid(valid: Bool[Tensor, "B n"]) -> Bool[Tensor, "B 1 n+1 n+1"]:
    """Every position sees itself and the valid transitions before it; the query is the last one."""
    n = valid.shape[1] + 1
    causal = torch.ones(n, n, dtype=torch.bool, device=valid.device).tril()
    known = torch.cat([valid, valid.new_ones(len(valid), 1)], dim=1)
    itself = torch.eye(n, dtype=torch.bool, device=valid.device)
    return ((causal & known[:, None, :]) | itself)[:, None]
