"""The agent's transformer while it acts: its weights laid out for few products, over keys and values that are held."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from keepmap.agents.history import History
from keepmap.agents.transformer import DecisionTransformer, TransformerBlock

__all__ = ["Decoder", "See"]

See = Callable[[Tensor], None]
ROWS = 48  # queries at once where many are new: most of what they may not see is then not computed


@dataclass(frozen=True)
class _Linear:
    weight: Float[Tensor, "d e"]
    bias: Float[Tensor, " e"]

    def __call__(self, x: Float[Tensor, "R d"]) -> Float[Tensor, "R e"]:
        return torch.addmm(self.bias, x, self.weight)

    def added(self, total: Float[Tensor, "R e"], x: Float[Tensor, "R d"]) -> Float[Tensor, "R e"]:
        """`total` and what this layer makes of `x`, summed."""
        return torch.addmm(total, x, self.weight).add_(self.bias)


class _Layer:
    """A block's weights; the norms' own are in the products that follow them, and the queries' scale in theirs."""

    def __init__(self, block: TransformerBlock) -> None:
        query, key_value = (_after(block.before_attention, part) for part in (block.query, block.key_value))
        scale = (block.query.in_features // block.n_head) ** -0.5
        self.query, self.key_value = _Linear(query.weight * scale, query.bias * scale), key_value
        pairs = (self.query.weight, key_value.weight), (self.query.bias, key_value.bias)
        self.all = _Linear(*(torch.cat(pair, -1) for pair in pairs))
        self.out, self.outer = _plain(block.out), _plain(block.outer)
        self.inner = _after(block.before_inner, block.inner)


class Decoder:
    """What the model computes, to 1e-5, with the weights that it has when this is made.

    Args:
        times: how many times there are, from 0 on.
    """

    def __init__(self, model: DecisionTransformer, times: int) -> None:
        self._shape, self._epsilon = model.shape, model.norm.eps
        # A token is a sum of rows of one table: the reward's is weighed by it, the query's own stand at the end.
        done = [] if model.done is None else [model.done]
        parts = [*model.state, *model.next_state, model.action, *done]
        rows = [*(part.weight for part in parts), model.reward.weight.t(), *(part.weight for part in model.query_state)]
        self._table = torch.cat(rows).detach()
        starts = np.cumsum([0, *map(len, rows)])
        self._starts, self._query_starts = starts[: len(parts) + 1], starts[len(parts) + 1 : -1]
        self._turns = model.turns(torch.arange(times)).view(times, 1, 1, -1).numpy()
        self._layers = [_Layer(block) for block in model.blocks if isinstance(block, TransformerBlock)]
        self._head = _after(model.norm, model.head)

    def tokens(self, history: History, first: int, query_states: Int[Tensor, "B S"]) -> Float[Tensor, "B T d"]:
        """One for each transition from the first on, and the query's."""
        gone = ~history.valid.numpy()[:, first:]
        agents, n = gone.shape
        codes = np.zeros((agents, n + 1, len(self._starts)), dtype=np.int64)
        shares = np.ones(codes.shape, dtype=np.float32)
        s = query_states.shape[1]
        codes[:, :n, :s] = history.states.numpy()[:, first:]
        codes[:, :n, s : 2 * s] = history.next_states.numpy()[:, first:]
        codes[:, :n, 2 * s] = history.actions.numpy()[:, first:]
        if self._shape.dones:
            assert history.dones is not None
            codes[:, :n, 2 * s + 1] = history.dones.numpy()[:, first:]
        shares[:, :n, -1] = history.rewards.numpy()[:, first:]
        if gone.any():
            codes[:, :n][gone], shares[:, :n][gone] = 0, 0
        codes += self._starts
        codes[:, n, :s], shares[:, n, s:] = query_states.numpy() + self._query_starts, 0
        starts = torch.arange(0, codes.size, codes.shape[2])
        rows, weights = (torch.from_numpy(part.reshape(-1)) for part in (codes, shares))
        summed = torch.embedding_bag(self._table, rows, starts, per_sample_weights=weights)[0]
        return summed.view(agents, n + 1, -1)

    def answer(
        self,
        tokens: Float[Tensor, "B T d"],
        times: Int[np.ndarray, "B T"],
        held: Sequence[Float[np.ndarray, "2 BH D N"]],
        hidden: Float[Tensor, "B 1 1 N"] | None,
        see: See | None,
    ) -> Float[Tensor, "B A"]:
        """The logits of the next action, at the last token.

        Args:
            held: of each layer the keys and values of N positions; the last T are the tokens', and are filled in.
            hidden: added where a position is not to be seen; None where all are.
            see: called with each layer's attention weights, of the last token or more.
        """
        agents, new, d = tokens.shape
        turns = self._turns[times]
        x = tokens.reshape(-1, d)
        for layer, place in zip(self._layers, held, strict=True):
            normed = self._normed(x)
            if layer is self._layers[-1]:
                x, last_normed = (part.view(agents, new, d)[:, -1] for part in (x, normed))
                q, projected = (
                    self._heads(layer.query(last_normed), agents),
                    self._heads(layer.key_value(normed), agents),
                )
                q *= turns[:, -1:]
                projected[:, :, :1] *= turns
            else:
                projected = self._heads(layer.all(normed), agents)
                projected[:, :, :2] *= turns
                q, projected = projected[:, :, :1], projected[:, :, 1:]
            into = place.reshape(2, agents, self._shape.n_head, -1, place.shape[-1])
            into[..., -new:] = projected.view(np.float32).transpose(2, 0, 3, 4, 1)
            mixed = self._mixed(_swapped(q.view(np.float32)[:, :, 0]), place, hidden, see)
            x = layer.out.added(x, torch.from_numpy(_swapped(mixed)).view(-1, d))
            x = layer.outer.added(x, layer.inner(self._normed(x)).relu_())
        return self._head(self._normed(x))

    def _mixed(
        self,
        q: Float[np.ndarray, "B H R D"],
        held: Float[np.ndarray, "2 BH D N"],
        hidden: Float[Tensor, "B 1 1 N"] | None,
        see: See | None,
    ) -> Float[np.ndarray, "B H R D"]:
        """Attention of the last R positions, each to those before it and itself."""
        agents, heads, n_queries, width = q.shape
        queries = torch.from_numpy(q).view(-1, n_queries, width)
        keys, values = held[0], held[1].swapaxes(1, 2)
        before = keys.shape[2] - n_queries
        parts = []
        for start in range(0, n_queries, ROWS):
            some = queries[:, start : start + ROWS]
            rows = some.shape[1]
            n = before + start + rows
            weights = torch.bmm(some, torch.from_numpy(keys[:, :, :n]))
            logits = weights.numpy()
            for row in range(rows - 1):
                logits[:, row, row - rows + 1 :] = -np.inf
            if hidden is not None:
                weights.view(agents, heads, rows, n).add_(hidden[..., :n])
            torch.softmax(weights, -1, out=weights)
            parts.append(torch.bmm(weights, torch.from_numpy(values[:, :n])))
        if see is not None:
            see(weights.view(agents, heads, rows, n))
        return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).numpy().reshape(q.shape)

    def _heads(self, x: Float[Tensor, "BT many"], agents: int) -> Complex[np.ndarray, "B T P H pairs"]:
        """The same numbers, as what is to be rotated; P is how many of queries, keys and values there are."""
        shape = self._shape
        pairs = x.numpy().view(np.complex64)
        return pairs.reshape(agents, len(x) // agents, -1, shape.n_head, shape.n_embd // shape.n_head // 2)

    def _normed(self, x: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        return torch.layer_norm(x, x.shape[-1:], None, None, self._epsilon)


def _plain(linear: nn.Linear) -> _Linear:
    return _Linear(linear.weight.detach().t().contiguous(), linear.bias.detach())


def _after(norm: nn.LayerNorm, linear: nn.Linear) -> _Linear:
    plain, gain, shift = _plain(linear), norm.weight.detach(), norm.bias.detach()
    return _Linear(gain[:, None] * plain.weight, plain.bias + shift @ plain.weight)


def _swapped(x: Float[np.ndarray, "B M N D"]) -> Float[np.ndarray, "B N M D"]:
    return np.ascontiguousarray(x.swapaxes(1, 2))
