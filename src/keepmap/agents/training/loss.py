"""What is minimised: how badly the learners' next actions are predicted, at every step, or from shortened histories."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from keepmap.agents import kernels
from keepmap.agents.compressor import Compressor
from keepmap.agents.history import History, shorten
from keepmap.agents.training.windows import WindowBatch
from keepmap.agents.transformer import DecisionTransformer

__all__ = ["Loss", "every_step", "shortened"]


@dataclass(frozen=True)
class Loss:
    """Of a batch: the mean cross-entropy (nats per action), and the share of actions that the model puts first."""

    value: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]


def every_step(model: DecisionTransformer, batch: WindowBatch, smoothing: float = 0.0, fused: bool = True) -> Loss:
    """Every action of every window is predicted from the transitions before it: contexts of length 0 to n - 1."""
    logits = model(batch.states, batch.actions, batch.rewards, batch.next_states, fused, batch.dones)
    return _loss(logits, batch.actions, smoothing)


def shortened(
    model: DecisionTransformer,
    batch: WindowBatch,
    compressor: Compressor,
    labels: int,
    draws: np.random.Generator,
    smoothing: float = 0.0,
) -> Loss:
    """`labels` actions of each window, each predicted from what the compressor keeps of the transitions before it.

    The choice is the rollout's own: `select` on the history so far. Where it needs attention, the model looks at the
    whole history first, with the weights that it has now and no gradient.
    """
    size, n = batch.actions.shape
    steps = torch.from_numpy(draws.integers(0, n, (size, labels)))
    attention = _attention_at(model, batch, steps) if compressor.needs_attention else None
    rows = torch.arange(size).repeat_interleave(labels)
    now = steps.flatten()
    history = History(
        states=batch.states[rows],
        actions=batch.actions[rows],
        rewards=batch.rewards[rows],
        next_states=batch.next_states[rows],
        times=torch.arange(n).expand(len(rows), n),
        valid=torch.arange(n) < now[:, None],
        attention=attention,
        dones=batch.dones[rows],
    ).at(batch.states[rows, now])
    kept = shorten(history, compressor.select(history))
    logits = model.query_logits(kept, batch.states[rows, now], now)
    return _loss(logits, batch.actions[rows, now], smoothing)


def _attention_at(
    model: DecisionTransformer, batch: WindowBatch, steps: Int[Tensor, "B labels"]
) -> Float[Tensor, "{steps.shape[0]*steps.shape[1]} n"]:
    """The attention of the states at some steps to the transitions before them, in one pass over each window."""
    n, labels = batch.actions.shape[1], steps.shape[1]
    queries = batch.states.gather(1, steps[..., None].expand(-1, -1, batch.states.shape[2]))
    tokens = torch.cat(
        [
            model.transition_tokens(batch.states, batch.actions, batch.rewards, batch.next_states, batch.dones),
            model.query_tokens(queries),
        ],
        dim=1,
    )
    times = torch.cat([torch.arange(n).expand(len(steps), n), steps], dim=1)
    total = torch.zeros(len(steps), labels, n)

    def see(weights: Float[Tensor, "B H labels N"]) -> None:
        total.add_(weights[..., :n].mean(1))

    was_training = model.training
    model.eval()
    with torch.no_grad():
        model.answers(tokens, model.turns(times), kernels.some_steps(steps, see), labels)
    model.train(was_training)
    return (total / model.shape.n_layer).flatten(0, 1)


def _loss(logits: Float[Tensor, "*b A"], actions: Int[Tensor, "*b"], smoothing: float) -> Loss:
    flat, labels = logits.flatten(0, -2), actions.flatten()
    right = (flat.detach().argmax(-1) == labels).float().mean()
    return Loss(cross_entropy(flat, labels, label_smoothing=smoothing), right)
