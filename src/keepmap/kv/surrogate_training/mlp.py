"""The MLP surrogate: AdamW on the mean squared error, over rows that lie on the disk, epoch by epoch.

L layers · G KV heads · B rows of a batch.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from keepmap.core.runs.records import write_synced
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.kv.surrogate_training.targets import ScoredPositions

__all__ = ["EPOCHS", "HIDDEN", "MlpTraining", "Rows"]

HIDDEN, EPOCHS, RATE, BATCH, CLIP = 512, 15, 5e-3, 512, 1.0
"""How the MLP is trained: the settings of the KVzap paper."""


class Rows:
    """The scored positions of many texts: two files per text, of which a batch reads what it needs."""

    def __init__(self, folder: Path, texts: Sequence[int]) -> None:
        self._files = [(_file(folder, text, "inputs"), _file(folder, text, "scores")) for text in texts]
        self._scores = [np.load(scores, allow_pickle=False) for _, scores in self._files]
        self._starts = np.cumsum([0, *map(len, self._scores)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @staticmethod
    def save(folder: Path, text: int, positions: ScoredPositions) -> None:
        """Write the rows of one text; each file whole or not at all, the scores last.

        Raises:
            OutputError: a file cannot be written.
        """
        for name, rows in (("inputs", positions.inputs), ("scores", positions.scores)):
            content = BytesIO()  # on a full disk numpy itself does not say what was wrong
            np.save(content, rows.float().cpu().numpy(), allow_pickle=False)
            write_synced(_file(folder, text, name), content.getvalue())

    @staticmethod
    def has(folder: Path, text: int) -> bool:
        """Whether the rows of this text are there."""
        return _file(folder, text, "scores").is_file()

    def mean(self) -> Float[np.ndarray, "L G"]:
        """The mean score of each layer and KV head, over all positions of all texts."""
        return sum(scores.sum(axis=0, dtype=np.float64) for scores in self._scores) / len(self)

    def batch(self, rows: Integer[np.ndarray, " B"]) -> ScoredPositions:
        """These rows, in ascending order."""
        rows = np.sort(rows)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        inputs, scores = [], []
        for text in np.unique(owner):
            own = rows[owner == text] - self._starts[text]
            inputs.append(np.load(self._files[text][0], mmap_mode="r", allow_pickle=False)[own])
            scores.append(self._scores[text][own])
        return ScoredPositions(torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(scores)))


class MlpTraining:
    """A surrogate in training; after each epoch, `tensors` is all that the next one needs.

    Attributes:
        epoch: how many are done.
    """

    def __init__(self, config: SurrogateConfig, rows: Rows, epochs: int, seed: int, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.surrogate = KVzapSurrogate(config)
        with torch.no_grad():  # the mean score is known; learning it would take the first epochs
            for network, mean in zip(self.surrogate.layers, torch.from_numpy(rows.mean()).float(), strict=True):
                network[-1].bias.copy_(mean)  # type: ignore[index]
        self.surrogate.to(device)
        self.epoch, self._rows, self._epochs, self._seed, self._device = 0, rows, epochs, seed, device
        self._optimizer = torch.optim.AdamW(self.surrogate.parameters(), lr=RATE)

    def step_epoch(self) -> None:
        """Go once over all rows, in an order of this epoch's own."""
        rate = RATE * (1 + np.cos(np.pi * self.epoch / self._epochs)) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        order = np.random.default_rng([self._seed, 1, self.epoch]).permutation(len(self._rows))
        for start in range(0, len(order), BATCH):
            batch = self._rows.batch(order[start : start + BATCH])
            predicted = self.surrogate(batch.inputs.to(self._device))
            nn.functional.mse_loss(predicted, batch.scores.to(self._device)).backward()
            nn.utils.clip_grad_norm_(self.surrogate.parameters(), CLIP)
            self._optimizer.step()
            self._optimizer.zero_grad()
        self.epoch += 1

    def tensors(self) -> dict[str, Tensor]:
        """Weights, the optimizer's moments, and the number of epochs that are done."""
        names = [name for name, _ in self.surrogate.named_parameters()]
        tensors = {name: value.detach() for name, value in self.surrogate.named_parameters()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"{key}/{names[index]}": value for key, value in moments.items()}
        return tensors | {"epoch": torch.tensor(self.epoch)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from tensors that were saved after an epoch."""
        names = [name for name, _ in self.surrogate.named_parameters()]
        self.surrogate.load_state_dict({name: tensors[name] for name in names})
        moments = {
            index: {key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            for index, name in enumerate(names)
        }
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.epoch = int(tensors["epoch"])

    def finished(self) -> KVzapSurrogate:
        """The surrogate, ready to score."""
        return self.surrogate.cpu().eval().requires_grad_(False)


def _file(folder: Path, text: int, name: str) -> Path:
    return folder / f"{text:06d}.{name}.npy"
