"""Train a KVzap surrogate: read the texts twice, fit, judge on held-out texts; killed at any point, it goes on."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepmap.core.arguments import as_flag, as_integer, as_number, as_path
from keepmap.core.progress import Progress
from keepmap.errors import InputError, ModelError, did_you_mean
from keepmap.kv.data.sequences import texts_of
from keepmap.kv.data.texts import SHORTEST, Skipped, Text, read_texts
from keepmap.kv.surrogate import CONFIG, WEIGHTS, KVzapSurrogate, SurrogateConfig
from keepmap.kv.surrogate_training import state
from keepmap.kv.surrogate_training.linear import Sums, fit_linear
from keepmap.kv.surrogate_training.mlp import EPOCHS, HIDDEN, MlpTraining, Rows
from keepmap.kv.surrogate_training.quality import explained_variance, explained_with_interval, judge_text
from keepmap.kv.surrogate_training.result import RESULT, TrainedSurrogate, read_surrogate
from keepmap.kv.surrogate_training.targets import (
    Repetition,
    ScoredPositions,
    repeat_context,
    require_targets,
    score_positions,
)
from keepmap.language_model import LanguageModel, as_language_model, load_language_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Training", "open_training", "train_surrogate"]

KINDS = ("linear", "mlp")
EPOCH = 0.05
"""What a text costs in an epoch of the MLP, roughly, beside reading it through the model."""


def train_surrogate(
    model: "LanguageModel | PreTrainedModel | str | Path",
    texts: Any,
    *,
    out: str | Path | None = None,
    kind: str = "linear",
    max_length: int = 1250,
    positions_per_text: int = 500,
    held_out: Any = 0.1,
    hidden_dim: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainedSurrogate:
    """Train a KVzap surrogate for a model, on texts of which it reads each twice.

    >>> import keepmap
    >>> trained = keepmap.train_surrogate("tiny", ["The code of river is 4821. " * 9, "Lists may be nested. " * 9])
    >>> trained.kind, trained.explained.shape, trained.n_held_out_texts
    ('linear', (2, 4), 1)

    Args:
        model: a LanguageModel, a loaded Hugging Face model, a folder, a hub id, a GGUF file, or a name that
            `load_language_model` knows. It is left as it was found.
        texts: strings, token ids, or what a tokenizer gives; two or more.
        out: the folder to write, in which the same call goes on where it stopped; by default nothing is written.
        kind: "linear" (ridge regression in closed form) or "mlp" (one hidden layer, the paper's settings).
        max_length: tokens; each text is cut there.
        positions_per_text: of each text, so many are learned from and judged on, drawn at random.
        held_out: the share of the texts that the surrogate is judged on, or texts for that.
        hidden_dim, epochs: of an MLP; by default 512 and 15.
        seed: of the draws, and of an MLP's first weights.
        overwrite: whether what another run made in `out` is removed; without it, that is an error.
        progress: told the share of the work that is done.

    Returns:
        The surrogate, with the variance that it explains on the held-out texts. `out` is what
        `kvzap_scorer_model` takes.

    Raises:
        InputError: an option out of range, too few texts, or a folder that holds another run.
        ModelError: the model is not supported or has no tokenizer.
        OutputError: the folder cannot be written.
    """
    language_model = as_language_model(model)
    judged_on: float | tuple[Text, ...] = (
        as_number("held_out", held_out) if isinstance(held_out, int | float) else texts_of(language_model, held_out)
    )
    training = Training(
        language_model,
        texts_of(language_model, texts),
        kind=kind,
        max_length=max_length,
        positions_per_text=positions_per_text,
        held_out=judged_on,
        hidden_dim=hidden_dim,
        epochs=epochs,
        seed=seed,
    )
    if out is not None:
        return training.run(as_path("out", out).expanduser(), progress, overwrite=as_flag("overwrite", overwrite))
    with tempfile.TemporaryDirectory(prefix="keepmap-") as folder:
        return replace(training.run(Path(folder), progress), folder=None)


def open_training(
    data_path: str | Path,
    text_field: str,
    max_samples: int | None,
    model_name: str | Path,
    *,
    device: str,
    dtype: str,
    strict: bool = False,
    **options: Any,
) -> "Training":
    """The training on a data file, with its model loaded; what is no text is skipped unless `strict`.

    Args:
        options: Training's.

    Raises:
        InputError, ModelError: the data, the model or an option cannot be used.
    """
    texts, skipped = read_texts(data_path, text_field, max_samples, strict=strict)
    training = Training(load_language_model(model_name, device=device, dtype=dtype), texts, **options)
    if strict and training.skipped:
        raise InputError(f"{training.skipped[0]}; give longer texts, or leave `strict` out")
    training.skipped = sorted([*skipped, *training.skipped], key=lambda part: part.line)
    return training


class Training:
    """A training that is checked and ready: which texts it reads, and for what.

    Attributes:
        language_model: that it is for. kind: linear or mlp.
        train, held_out: the texts as they are read. skipped: what is not read, and why.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        texts: Sequence[Text],
        *,
        kind: str,
        max_length: int,
        positions_per_text: int,
        held_out: float | tuple[Text, ...],
        hidden_dim: int | None,
        epochs: int | None,
        seed: int,
    ) -> None:
        if kind not in KINDS:
            raise InputError(f'unknown `kind` "{kind}", {did_you_mean(str(kind), KINDS)}')
        for name, value in (("hidden_dim", hidden_dim), ("epochs", epochs)):
            if kind == "linear" and value is not None:
                raise InputError(f"`{name}` is for an MLP, and a linear surrogate is solved; leave it out")
        self.language_model, self.kind = language_model, kind
        self._max_length = as_integer("max_length", max_length, at_least=SHORTEST)
        self._per_text = as_integer("positions_per_text", positions_per_text, at_least=1)
        self._hidden_dim = as_integer("hidden_dim", HIDDEN if hidden_dim is None else hidden_dim, at_least=1)
        self._epochs = as_integer("epochs", EPOCHS if epochs is None else epochs, at_least=1)
        self._seed = as_integer("seed", seed)
        self.skipped: list[Skipped] = []
        if isinstance(held_out, tuple):
            self.train, self.held_out = self._read(texts), self._read(held_out)
        else:
            self.train, self.held_out = self._split(self._read(texts), as_number("held_out", held_out, 0.0, 1.0))
        if not self.train or not self.held_out:
            raise InputError(
                f"expected one text or more to learn from, and one or more to be held out, of {SHORTEST} tokens or "
                f"more; got {len(self.train)} and {len(self.held_out)}"
            )
        longest = max([*self.train, *self.held_out], key=lambda repetition: len(repetition.ids))
        require_targets(language_model.model, language_model.max_positions, longest)

    def options(self) -> dict[str, Any]:
        """What decides the result, beside the model and the texts; JSON values."""
        mlp = {"hidden_dim": self._hidden_dim, "epochs": self._epochs} if self.kind == "mlp" else {}
        return {
            "kind": self.kind,
            "max_length": self._max_length,
            "positions_per_text": self._per_text,
            "held_out": len(self.held_out),
            **mlp,
            "seed": self._seed,
            "dtype": str(self.language_model.dtype).removeprefix("torch."),
            "device": self.language_model.device.type,
        }

    def check(self, folder: Path, *, overwrite: bool = False) -> None:
        """Refuse a folder before any work; nothing is written.

        Raises:
            InputError, OutputError: as `run`.
        """
        self._place(folder, overwrite).check()

    def run(self, folder: Path, progress: Progress | None = None, *, overwrite: bool = False) -> TrainedSurrogate:
        """Train in `folder`, from where an earlier run of the same stopped; what is finished is read.

        Args:
            progress: told the share of the work that is done; not at all where all of it was.
            overwrite: whether what another run made there is removed.

        Raises:
            InputError: the folder holds another run or something else, or is damaged.
            OutputError: it cannot be written.
        """
        place = self._place(folder, overwrite)
        with place.opened():
            if not all((folder / name).is_file() for name in (CONFIG, WEIGHTS, RESULT)):
                units = len(self.train) * (1 + self._epochs_cost) + len(self.held_out)
                self._work(place, _Share(units, progress))
            return read_surrogate(folder)

    def _place(self, folder: Path, overwrite: bool) -> state.TrainingFolder:
        hashes = {
            "model": state.weights_digest(self.language_model.model),
            "data": state.texts_digest([*self.train, *self.held_out]),
        }
        steps = self._n_fits + len(self.held_out)
        return state.TrainingFolder(folder, self.options(), hashes, overwrite=overwrite, steps=steps)

    def _work(self, place: state.TrainingFolder, share: "_Share") -> None:
        surrogate = self._fit_linear(place, share) if self.kind == "linear" else self._fit_mlp(place, share)
        surrogate.save(place.path, self.language_model, overwrite=True)
        judged = place.held_out()
        share.done(len(self.train) * (1 + self._epochs_cost) + len(judged))
        for index in range(len(judged), len(self.held_out)):
            judged.append(judge_text(surrogate, self._positions(self.held_out[index], len(self.train) + index)))
            place.save_held_out(judged)
            place.note(self._n_fits + len(judged))
            share.add(1.0)
        mean, interval = explained_with_interval(judged)
        TrainedSurrogate(
            surrogate=surrogate,
            model=self.language_model.name,
            mean=mean,
            interval=interval,
            explained=explained_variance(judged),
            n_texts=len(self.train),
            n_positions=sum(min(self._per_text, len(text.context)) for text in self.train),
            n_held_out_texts=len(judged),
            n_held_out_positions=sum(text.n for text in judged),
            options=self.options(),
        ).write(place.path)
        place.tidy()

    def _fit_linear(self, place: state.TrainingFolder, share: "_Share") -> KVzapSurrogate:
        config = self._config(None)
        sums = Sums(config.n_modules, config.input_dim, config.output_dim, self.language_model.device)
        done = 0
        if (held := place.saved()) is not None:
            done = int(held["texts"])
            sums.load(held)
        share.done(float(done))
        saved_at = time.monotonic()
        for index in range(done, len(self.train)):
            sums.add(self._positions(self.train[index], index))
            if time.monotonic() - saved_at >= state.SAVE_SECONDS or index == len(self.train) - 1:
                place.save(sums.tensors | {"texts": sums.tensors["n"].new_tensor(index + 1)})
                place.note(index + 1)
                saved_at = time.monotonic()
            share.add(1.0)
        return fit_linear(sums)

    def _fit_mlp(self, place: state.TrainingFolder, share: "_Share") -> KVzapSurrogate:
        place.rows.mkdir(exist_ok=True)
        missing = [index for index in range(len(self.train)) if not Rows.has(place.rows, index)]
        share.done(float(len(self.train) - len(missing)))
        for number, index in enumerate(missing, start=1):
            Rows.save(place.rows, index, self._positions(self.train[index], index))
            place.note(len(self.train) - len(missing) + number)
            share.add(1.0)
        rows = Rows(place.rows, range(len(self.train)))
        device = self.language_model.device
        training = MlpTraining(self._config(self._hidden_dim), rows, self._epochs, self._seed, device)
        if (held := place.saved()) is not None:
            training.load(held)
            share.add(EPOCH * len(self.train) * training.epoch)
        while training.epoch < self._epochs:
            training.step_epoch()
            place.save(training.tensors())
            place.note(len(self.train) + training.epoch)
            share.add(EPOCH * len(self.train))
        return training.finished()

    def _positions(self, text: Repetition, index: int) -> ScoredPositions:
        """The chosen positions of one text; `index` decides the draw."""
        scored = score_positions(self.language_model, text)
        chosen = np.random.default_rng([self._seed, 0, index]).permutation(len(text.context))[: self._per_text]
        return ScoredPositions(scored.inputs[chosen], scored.scores[chosen])

    def _config(self, hidden_dim: int | None) -> SurrogateConfig:
        model = self.language_model
        hidden = model.model.config.get_text_config().hidden_size
        return SurrogateConfig(hidden, model.n_kv_heads, model.n_layers, hidden_dim)

    @property
    def _n_fits(self) -> int:
        """Steps before it is judged: texts to read, and epochs of an MLP."""
        return len(self.train) + (self._epochs if self.kind == "mlp" else 0)

    @property
    def _epochs_cost(self) -> float:
        """All epochs of the MLP, beside reading the texts."""
        return EPOCH * self._epochs if self.kind == "mlp" else 0.0

    def _read(self, texts: Sequence[Text]) -> list[Repetition]:
        model = self.language_model
        if model.tokenizer is None:
            raise ModelError(f"{model.name} has no tokenizer; put the tokenizer's files into its folder")
        read = []
        for text in texts:
            repetition = repeat_context(model.tokenizer, text.text, self._max_length)
            if len(repetition.context) < SHORTEST:
                self.skipped.append(Skipped(text.line, text.where, f"has fewer than {SHORTEST} tokens"))
                continue
            if int(repetition.ids.max()) >= model.vocab_size:
                raise ModelError(
                    f"the tokenizer gives id {int(repetition.ids.max())}, {model.name} has a vocabulary of "
                    f"{model.vocab_size}; it is another model's tokenizer"
                )
            read.append(repetition)
        return read

    def _split(self, texts: list[Repetition], share: float) -> tuple[list[Repetition], list[Repetition]]:
        """Texts to learn from and texts that are held out, both in their order: one of each at least."""
        count = min(max(1, round(share * len(texts))), len(texts) - 1)
        out = set(np.random.default_rng([self._seed, 2]).permutation(len(texts))[: max(0, count)].tolist())
        return (
            [text for index, text in enumerate(texts) if index not in out],
            [text for index, text in enumerate(texts) if index in out],
        )


class _Share:
    """The share of the work that is done, and who is told of it."""

    def __init__(self, units: float, progress: Progress | None) -> None:
        self._units, self._progress, self._done = units, progress, 0.0

    def done(self, units: float) -> None:
        """Note how many units of work are done since the beginning, and report the share."""
        self._done = units
        if self._progress is not None:
            self._progress(min(1.0, self._done / self._units))

    def add(self, units: float) -> None:
        """Note that so many more units of work are done, and report the share."""
        self.done(self._done + units)
