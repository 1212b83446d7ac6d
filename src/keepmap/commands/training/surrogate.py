"""Training a KVzap surrogate: read texts, train, say how good it is and how to use it."""

import sys
import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from keepmap.commands.progress import progress_bar
from keepmap.core.arguments import as_path
from keepmap.core.progress import Progress
from keepmap.errors import on_one_line
from keepmap.kv.surrogate_training import TrainedSurrogate, open_training

__all__ = ["train_surrogate"]

STEPS = 10
"""Lines that say how far it is, where no bar is shown."""


def train_surrogate(
    data_path: str | Path,
    out: str | Path,
    text_field: str = "text",
    model_name: str | Path = "tiny",
    kind: str = "linear",
    max_samples: int | None = None,
    strict: bool = False,
    max_length: int = 1250,
    positions_per_text: int = 500,
    held_out: float = 0.1,
    hidden_dim: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    dtype: str = "auto",
    device: str = "auto",
    overwrite: bool = False,
) -> TrainedSurrogate:
    """Train a KVzap surrogate on a data file, write it into `out`, and print how much of the variance it explains.

    The arguments are the options of `keepmap train-surrogate`, which `keepmap train-surrogate --help` describes. The
    same call goes on where it was.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    folder = as_path("out", out).expanduser()
    training = open_training(
        data_path,
        text_field,
        max_samples,
        model_name,
        device=device,
        dtype=dtype,
        strict=strict,
        kind=kind,
        max_length=max_length,
        positions_per_text=positions_per_text,
        held_out=held_out,
        hidden_dim=hidden_dim,
        epochs=epochs,
        seed=seed,
    )
    training.check(folder, overwrite=overwrite)
    print(
        f"Training a {kind} KVzap surrogate for {on_one_line(training.language_model.name)} on "
        f"{len(training.train)} texts of {on_one_line(data_path)}, {len(training.held_out)} held out\n"
        f"  folder {on_one_line(out)}",
        flush=True,
    )
    for skipped in training.skipped:
        print(f"  skipped: {on_one_line(skipped)}")
    console = Console(stderr=True, highlight=False)
    with progress_bar(console) as bar:
        task = bar.add_task("Per mille", total=1000)
        log, was_finished = None if console.is_terminal else _log(), True

        def tell(share: float) -> None:
            nonlocal was_finished
            was_finished = False
            bar.update(task, completed=round(1000 * share))
            if log is not None:
                log(share)

        trained = training.run(folder, tell, overwrite=overwrite)
    if was_finished:
        print(f"Finished already: {on_one_line(out)}")
    _report(trained)
    print(
        f"Use it: keepmap compare --model_name {on_one_line(model_name)} --kvzap_scorer_model {on_one_line(out)} "
        "--methods kvzap --data_path …"
    )
    return trained


def _report(trained: TrainedSurrogate) -> None:
    """How much is explained, of which layers, and what the paper's surrogates explain."""
    low, high = trained.interval
    between = "too few texts for an interval" if low is None else f"95 % interval {low:.3f} to {high:.3f}"
    print(
        f"Explained variance on held-out texts: {trained.mean:.3f} ({between}; n = {trained.n_held_out_texts} texts, "
        f"{trained.n_held_out_positions:,} positions; trained on {trained.n_texts} texts, "
        f"{trained.n_positions:,} positions)"
    )
    paper = ", ".join(f"{model} {share:.3f}" for model, share in trained.paper.items())
    print(f"  the paper's, {trained.kind}: {paper} (0.63 to 0.77 over both kinds)")
    for layer, shares in enumerate(trained.explained):
        heads = " ".join("constant" if share != share else f"{share:.3f}" for share in shares)
        print(f"  layer {layer:>2}, by KV head: {heads}")


def _log() -> Progress:
    """A line on stderr at each tenth, with the time that is left where it goes on as before."""
    began, first, tenth = time.monotonic(), -1.0, 0

    def log(share: float) -> None:
        nonlocal began, first, tenth
        if first < 0:
            began, first, tenth = time.monotonic(), share, int(share * STEPS)
        elif int(share * STEPS) > tenth:
            tenth = int(share * STEPS)
            left = (time.monotonic() - began) / (share - first) * (1 - share)
            print(f"{share:.0%} done, {timedelta(seconds=round(left))} left", file=sys.stderr, flush=True)

    return log
