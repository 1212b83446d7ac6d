"""The straightforward way to act and to train, at our sizes: the whole window again for every action.

PyTorch's own encoder with learned absolute positions over embedded transitions and the query state; one environment per
process; in training, one label for each window.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from room_process import RoomProcesses

__all__ = ["WholeWindow", "act", "training_step"]

SIZE, N_ACTIONS = 9, 5


class WholeWindow(nn.Module):
    """An encoder over n_transit - 1 transitions and the query state."""

    mask: Tensor

    def __init__(self, n_transit: int, n_embd: int, n_layer: int, n_head: int, n_inner: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(n_embd, n_head, n_inner, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, n_layer)
        self.transition = nn.Linear(2 + N_ACTIONS + 1 + 2, n_embd)
        self.query = nn.Embedding(SIZE * SIZE, n_embd)
        self.positions = nn.Parameter(torch.zeros(n_transit, n_embd))
        self.head = nn.Linear(n_embd, N_ACTIONS)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(n_transit), persistent=False)

    def embed(self, states: Tensor, actions: Tensor, rewards: Tensor, next_states: Tensor) -> Tensor:
        """Tokens [B, n, d] of transitions [B, n, ...]."""
        parts = [states, one_hot(actions, N_ACTIONS), rewards[..., None], next_states]
        return self.transition(torch.cat([part.float() for part in parts], dim=-1))

    def forward(self, transitions: Tensor, states: Tensor) -> Tensor:
        """Logits [B, A] from tokens [B, n, d] and query states [B, 2]."""
        query = self.query(states[:, 0] * SIZE + states[:, 1])[:, None]
        tokens = torch.cat([transitions, query], dim=1)
        n = tokens.shape[1]
        return self.head(self.encoder(tokens + self.positions[:n], mask=self.mask[:n, :n])[:, -1])


def act(model: WholeWindow, rooms: RoomProcesses, n_transit: int, steps: int) -> Callable[[], int]:
    """A function that plays `steps` steps in every room with a full window, and returns how many steps that were."""
    model.eval()
    full = torch.randn(len(rooms), n_transit - 1, model.positions.shape[1])

    @torch.inference_mode()
    def play() -> int:
        context = full.clone()
        states = torch.full((len(rooms), 2), SIZE // 2)
        for _ in range(steps):
            actions = model(context, states).softmax(-1).multinomial(1)[:, 0]
            result = rooms.step(actions.tolist())
            after = torch.tensor([array[:2] for array in result])
            rewards = torch.tensor([array[2] for array in result])
            token = model.embed(states[:, None], actions[:, None], rewards[:, None], after[:, None])
            context = torch.cat([context[:, 1:], token], dim=1)
            states = after
        return steps * len(rooms)

    return play


def training_step(model: WholeWindow, n_transit: int, batch: int) -> Callable[[], int]:
    """A function that does one update on random windows, and returns how many actions supervised it."""
    draw = torch.Generator().manual_seed(0)
    states = torch.randint(SIZE, (batch, n_transit, 2), generator=draw)
    actions = torch.randint(N_ACTIONS, (batch, n_transit), generator=draw)
    rewards = torch.zeros(batch, n_transit)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model.train()

    def update() -> int:
        context = model.embed(states[:, :-1], actions[:, :-1], rewards[:, :-1], states[:, 1:])
        cross_entropy(model(context, states[:, -1]), actions[:, -1]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return batch

    return update
