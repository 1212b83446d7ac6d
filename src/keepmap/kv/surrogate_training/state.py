"""The folder of a training: which run it is, what is done of it, who works in it; a killed run goes on from here."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keepmap.core.files import read_json, remove_files
from keepmap.core.runs.folder import RUN_FILE, RunFolder, read_run_file
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.lock import remove_left_over
from keepmap.core.runs.records import write_synced
from keepmap.core.storage.documents import read_document, write_document
from keepmap.core.storage.tensors import read_tensors, tensors_file
from keepmap.core.versions import versions
from keepmap.errors import InputError
from keepmap.kv.surrogate import CONFIG, WEIGHTS
from keepmap.kv.surrogate_training.quality import HeldOutText
from keepmap.kv.surrogate_training.result import RESULT
from keepmap.kv.surrogate_training.targets import Repetition

__all__ = ["SAVE_SECONDS", "TrainingFolder", "texts_digest", "weights_digest"]

TENSORS, ROWS, HELD_OUT = "training.safetensors", "rows", "held_out.json"
FILES = (CONFIG, WEIGHTS, RESULT, TENSORS, HELD_OUT)
SAVE_SECONDS = 30.0
"""Between two saves of what is done, at least: what a killed run may lose."""
SAMPLED = 4096  # numbers of each weight


class TrainingFolder:
    """A folder that one training at a time fills, and that any later one with the same options and hashes goes on with.

    Attributes:
        path: where it is. rows: the folder in it that an MLP's rows are kept in.
        steps: texts to read and epochs, where they are counted.
    """

    def __init__(
        self,
        path: Path,
        options: Mapping[str, Any],
        hashes: Mapping[str, str],
        *,
        overwrite: bool = False,
        steps: int | None = None,
    ) -> None:
        self.path, self.rows, self._overwrite = path, path / ROWS, overwrite
        self._identity = Identity(
            verb="train-surrogate", options=options, versions=versions("torch", "transformers"), hashes=hashes
        )
        self._place = RunFolder(
            path, self._identity, overwrite=overwrite, option="`out`", patterns=[f"{ROWS}/*.npy"], steps=steps
        )

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, or make sure that it holds this run, and keep others out; at the end it says it is finished.

        Raises:
            InputError: it holds another run or something else, or another process trains there.
            OutputError: it cannot be written.
        """
        self.check()
        with self._place as place:
            place.begin((), FILES)
            remove_left_over(self.rows)
            yield
            place.finish()

    def check(self) -> None:
        """Refuse a folder of something else before any work; nothing is written.

        Raises:
            InputError, OutputError: as `opened`.
        """
        if self._is_of_an_older_keepmap():
            self._place.adopt()
        self._place.check((*FILES, f"{ROWS}/000000.inputs.npy"))

    def _is_of_an_older_keepmap(self) -> bool:
        """Whether the folder holds this run, and says so as keepmap did before all verbs had one form of `run.json`.

        Raises:
            InputError: it holds another run, or what it says is damaged; without `overwrite`.
        """
        path = self.path / RUN_FILE
        if not path.exists() or path.is_symlink() or read_run_file(self.path) is not None:
            return False
        try:
            facts = dict(read_json(path)["facts"])
            hashes = {"model": str(facts.pop("weights")), "data": str(facts.pop("texts"))}
            held = replace(self._identity, options=facts, hashes=hashes)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            difference: str | None = "its run.json is damaged"
        else:
            difference = held.difference_to(self._identity)
        if difference is None or self._overwrite:
            return difference is None
        raise InputError(
            f"{self.path} holds another run: {difference}; give `overwrite` to replace it, or another `out`"
        )

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Save what is done, in the place of what was saved before.

        Raises:
            OutputError: it cannot be written.
        """
        write_synced(self.path / TENSORS, tensors_file(tensors))

    def note(self, done: int) -> None:
        """Say how many steps are done, for whoever asks how far it is.

        Raises:
            OutputError: it cannot be written.
        """
        self._place.note(done)

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
        write_document(self.path / HELD_OUT, {"texts": [text.document() for text in texts]})

    def held_out(self) -> list[HeldOutText]:
        """The held-out texts that are judged.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path / HELD_OUT
        if not path.is_file():
            return []
        try:
            return [HeldOutText.of(text) for text in read_document(path)["texts"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path} is damaged; delete it to judge those texts again") from None

    def tidy(self) -> None:
        """Remove what only the training needed.

        Raises:
            OutputError: a file cannot be removed.
        """
        remove_files([self.path / TENSORS, self.path / HELD_OUT, *self.rows.glob("[0-9]*.npy")])
        with suppress(OSError):  # it is not there, or holds what is somebody else's
            self.rows.rmdir()


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
