"""One layer of a batch, as transformers calls it: it hands each row its own keys and values, without the padding."""

from typing import TYPE_CHECKING

from torch import Tensor

from keepmap.kv.cache.interface import SeenLayer

if TYPE_CHECKING:
    from keepmap.kv.cache.batches.batch import Batch

__all__ = ["BatchLayer"]


class BatchLayer(SeenLayer):
    """How many positions came, those of padding among them, and whose they are."""

    def __init__(self, layer: int, batch: "Batch", seen: int) -> None:
        super().__init__()
        self.layer, self.batch, self.seen = layer, batch, seen

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The rows have theirs."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Let each row note what is no padding."""
        new = key_states.shape[2]
        for at, (row, hidden) in enumerate(zip(self.batch.rows, self.batch.hidden, strict=True)):
            if hidden < new:
                own = (states[at : at + 1, :, hidden:] for states in (key_states, value_states))
                row.layers[self.layer].update(*own)
        self.seen += new
        return key_states, value_states

    def get_seq_length(self) -> int:
        """How many positions came, those of padding among them."""
        return self.seen

    def reset(self) -> None:
        """Nothing came: who holds the rows begins anew."""
        self.seen = 0
