"""The folder of a training: which run it is, what is done of it, who works in it; a killed run goes on from here."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keepmap.core.files import make_folder, read_json, remove_files, write_json, written_whole
from keepmap.core.runs.lock import alone_in
from keepmap.core.storage.tensors import read_tensors, tensors_file
from keepmap.core.versions import versions
from keepmap.errors import InputError
from keepmap.kv.surrogate import CONFIG, WEIGHTS
from keepmap.kv.surrogate_training.quality import HeldOutText
from keepmap.kv.surrogate_training.targets import Repetition

__all__ = ["SAVE_SECONDS", "TrainingFolder", "texts_digest", "weights_digest"]

RUN, TENSORS, ROWS, HELD_OUT = "run.json", "training.safetensors", "rows", "held_out.json"
SAVE_SECONDS = 30.0
"""Between two saves of what is done, at least: what a killed run may lose."""
SAMPLED = 4096  # numbers of each weight


class TrainingFolder:
    """A folder that one training at a time fills, and that any later one with the same `facts` goes on with."""

    def __init__(self, path: Path, model: str, facts: Mapping[str, Any]) -> None:
        self.path, self._model, self._facts = path, model, dict(facts)
        self.rows = path / ROWS

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, or make sure that it holds this run, and keep others out.

        Raises:
            InputError: it holds another run or something else, or another process trains there.
            OutputError: it cannot be written.
        """
        make_folder(self.path)
        with alone_in(self.path, "training", "`out`"):
            self._claim()
            yield

    def _claim(self) -> None:
        if not (self.path / RUN).exists():
            if taken := [name for name in (CONFIG, WEIGHTS) if (self.path / name).exists()]:
                raise InputError(
                    f"{self.path} holds {' and '.join(taken)} of something else; give another `out`, or an empty folder"
                )
            document = {"model": self._model, "facts": self._facts, "versions": versions("torch", "transformers")}
            write_json(self.path / RUN, document)
            return
        try:
            held = dict(read_json(self.path / RUN)["facts"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{self.path / RUN} is damaged; give another `out`, or delete that folder") from None
        for key in self._facts | held:
            if held.get(key) != self._facts.get(key):
                what = f"another {key}" if key in ("weights", "texts") else f"{key} {held.get(key)!r}"
                wanted = "" if key in ("weights", "texts") else f", not {self._facts.get(key)!r}"
                raise InputError(
                    f"{self.path} holds a run with {what}{wanted}; give another `out`, or delete that folder"
                )

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Save what is done, in the place of what was saved before.

        Raises:
            OutputError: it cannot be written.
        """
        with written_whole(self.path / TENSORS) as temporary:
            temporary.write_bytes(tensors_file(tensors))

    def saved(self) -> dict[str, Tensor] | None:
        """What was saved, None at the beginning.

        Raises:
            InputError: it is damaged.
        """
        path = self.path / TENSORS
        try:
            return read_tensors(path)[0] if path.is_file() else None
        except (OSError, ValueError):
            raise InputError(f"{path} is damaged; delete the folder {self.path} to begin again") from None

    def save_held_out(self, texts: Sequence[HeldOutText]) -> None:
        """Save the held-out texts that are judged.

        Raises:
            OutputError: it cannot be written.
        """
        write_json(self.path / HELD_OUT, {"texts": [text.document() for text in texts]})

    def held_out(self) -> list[HeldOutText]:
        """The held-out texts that are judged.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path / HELD_OUT
        if not path.is_file():
            return []
        try:
            return [HeldOutText.of(text) for text in read_json(path)["texts"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} is damaged; delete it to judge those texts again") from None

    def tidy(self) -> None:
        """Remove what only the training needed.

        Raises:
            OutputError: a file cannot be removed.
        """
        remove_files([self.path / TENSORS, self.path / HELD_OUT])
        shutil.rmtree(self.rows, ignore_errors=True)


def weights_digest(model: nn.Module) -> str:
    """What tells a model from others, its fine-tuned variants too: of each weight its name, shape and some numbers."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        flat = weight.detach().flatten()
        some = flat[:: max(1, len(flat) // SAMPLED)]
        digest.update(some.to(torch.float64).cpu().numpy().tobytes())
    return digest.hexdigest()


def texts_digest(repetitions: Sequence[Repetition]) -> str:
    """A SHA-256 of the token ids of all texts: whether a run goes on with the texts that it began with."""
    digest = hashlib.sha256()
    for repetition in repetitions:
        digest.update(f"{len(repetition.ids)} ".encode() + repetition.ids.numpy().tobytes())
    return digest.hexdigest()
