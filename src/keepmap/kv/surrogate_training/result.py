"""A trained surrogate with what is known of it, as a value and as a folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from keepmap.core.arguments import as_path
from keepmap.core.files import plain
from keepmap.core.html import card
from keepmap.core.outside.reporting import Reported, framed
from keepmap.core.storage.documents import read_document, write_document
from keepmap.errors import InputError, escaped
from keepmap.kv.method import Scored, method_class
from keepmap.kv.surrogate import KVzapSurrogate, load_surrogate
from keepmap.kv.surrogate_training.quality import PAPER

__all__ = ["RESULT", "TrainedSurrogate", "read_surrogate"]

RESULT = "explained_variance.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedSurrogate(Reported):
    """A KVzap surrogate that was trained for a model, and how well it predicts on texts that were held out.

    Attributes:
        surrogate: the networks. model: the name of the model that it is for.
        mean, interval: the share of the scores' variance that is explained on held-out texts, mean over layers and KV
            heads; its 95 % interval over the texts, (None, None) for fewer than three.
        explained: [L, G], the same of each; NaN where all scores are equal.
        n_texts, n_positions: that it was trained on. n_held_out_texts, n_held_out_positions: that it was judged on.
        options: what decided it. folder: where it is, None if it was not written.
    """

    surrogate: KVzapSurrogate
    model: str
    mean: float
    interval: tuple[float, float] | tuple[None, None]
    explained: Float[np.ndarray, "L G"]
    n_texts: int
    n_positions: int
    n_held_out_texts: int
    n_held_out_positions: int
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def kind(self) -> str:
        """What the surrogate is, "linear" or "mlp"."""
        return self.surrogate.config.kind

    @property
    def paper(self) -> dict[str, float]:
        """What surrogates of this kind explained in the paper, by model."""
        return dict(PAPER[self.kind])

    @property
    def method(self) -> Scored:
        """KVzap with this surrogate, ready for `evict` and `compare`."""
        return method_class("kvzap")(self.surrogate.score)  # type: ignore[call-arg, return-value]

    def write(self, folder: Path) -> None:
        """Write what is known of it into its folder, beside the weights.

        Raises:
            OutputError: it cannot be written.
        """
        document = {
            "model": self.model,
            "kind": self.kind,
            "explained_variance": self.mean,
            "interval": self.interval,
            "paper": self.paper,
            "trained_on": {"texts": self.n_texts, "positions": self.n_positions},
            "held_out": {"texts": self.n_held_out_texts, "positions": self.n_held_out_positions},
            "by_layer_and_kv_head": self.explained,
            "options": self.options,
        }
        write_document(folder / RESULT, plain(document))

    def __repr__(self) -> str:
        low, high = self.interval
        between = "" if low is None else f" [{low:.2f}, {high:.2f}]"
        return escaped(
            f"TrainedSurrogate({self.kind}, for {self.model}: explains {self.mean:.2f}{between} of the variance "
            f"(n = {self.n_held_out_texts} held-out texts, {self.n_held_out_positions:,} positions))"
        )

    def _repr_html_(self) -> str:
        rows = [(str(layer), *(f"{share:.2f}" for share in shares)) for layer, shares in enumerate(self.explained)]
        heads = [f"KV head {head}" for head in range(self.explained.shape[1])]
        return framed(self, card(repr(self), ("layer", *heads), rows))


def read_surrogate(folder: str | Path) -> TrainedSurrogate:
    """Read a surrogate that was trained into `folder`, with what is known of it.

    >>> import keepmap, tempfile
    >>> texts = ["The code of river is 4821. " * 9, "Lists may be nested. " * 9]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trained = keepmap.train_surrogate("tiny", texts, out=folder)
    ...     surrogate = keepmap.read_surrogate(folder)
    >>> surrogate.kind, surrogate.mean == trained.mean
    ('linear', True)

    Raises:
        InputError: there is none, it is not finished, or its results are damaged.
        ModelError: its weights are missing or damaged.
    """
    place = as_path("folder", folder).expanduser()
    path = place / RESULT
    if not path.is_file():
        raise InputError(
            f"no trained surrogate in {place}: it has no {RESULT}; give a folder that `keepmap train-surrogate` "
            "finished"
        )
    surrogate = load_surrogate(place)
    try:
        held = read_document(path)
        low, high = held["interval"]
        explained = np.array(held["by_layer_and_kv_head"], dtype=np.float64)
        result = TrainedSurrogate(
            surrogate=surrogate,
            model=str(held["model"]),
            mean=float(held["explained_variance"]),
            interval=(None, None) if low is None else (float(low), float(high)),
            explained=explained,
            n_texts=int(held["trained_on"]["texts"]),
            n_positions=int(held["trained_on"]["positions"]),
            n_held_out_texts=int(held["held_out"]["texts"]),
            n_held_out_positions=int(held["held_out"]["positions"]),
            options=dict(held["options"]),
            folder=place,
        )
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except KeyError as error:
        raise InputError(f"{path} is of no trained surrogate, or is damaged: it has no {error}") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is of no trained surrogate, or is damaged: {reason}") from None
    config = result.surrogate.config
    if explained.shape != (config.n_modules, config.output_dim) or (low is None) != (high is None):
        raise InputError(f"{path} is damaged: its figures are not of the surrogate beside it")
    return result
