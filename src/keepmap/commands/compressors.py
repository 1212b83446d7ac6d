"""Showing the history compressors at work on a real history: a table, and a picture of what each keeps."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from keepmap.agents.acting import Context, load_agent
from keepmap.agents.choosing import shares
from keepmap.agents.collection.source import make_source
from keepmap.agents.compressor import Compressor, History, Selection, compressors
from keepmap.agents.environments import Goal, Room, parse_cell, room_named
from keepmap.core.arguments import as_flag, as_integer, as_path
from keepmap.core.files import make_folder
from keepmap.core.outside.memory import require_memory
from keepmap.drawing import kept_transitions, picture_formats, require_free_report, save_figure
from keepmap.errors import on_one_line
from keepmap.printing.tables import Column, panels

__all__ = ["show_compressors"]

SOURCE = "optimistic"
PAIR = 48
"""Bytes of two transitions, one of which attends to the other: logits and shares in each of four heads."""


def show_compressors(
    goal: str = "7,2",
    n_transit: int = 120,
    target_length: int = 10,
    seed: int = 0,
    output_dir: str | Path = "figs/compression",
    format: str = "png",
    report: bool = False,
) -> list[Path]:
    """Let a learner of Dark Room see `n_transit` steps, shorten that history by every compressor, and show the result.

    The arguments are the options of `keepmap compressors`, which `keepmap compressors --help` describes.

    Returns:
        The pictures written, and the page where there is one.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    room = room_named("darkroom")
    for name, value, least in (("n_transit", n_transit, 1), ("target_length", target_length, 1), ("seed", seed, 0)):
        as_integer(name, value, least)
    require_memory(PAIR * n_transit**2, f"the attention to {n_transit:,} transitions", "lower `n_transit`")
    hidden = parse_cell(goal)
    room.index(hidden)
    formats, folder = picture_formats(format), make_folder(as_path("output_dir", output_dir))
    page = folder / "report.html" if as_flag("report", report) else None
    if page is not None:
        require_free_report(page)
    every = [known.of_length(target_length) for known in compressors().values()]
    context = _context(room, hidden, n_transit, seed)
    history = context.history
    kept = {compressor: _mask(compressor.select(history), n_transit) for compressor in every}
    assert history.attention is not None
    share = shares(history.valid, history.attention)[0].numpy()
    rewarded = history.rewards[0].numpy() != 0
    print(f"{n_transit} transitions of {SOURCE} in {room.name} {room.size}x{room.size}, goal {hidden}, seed {seed}")
    print(f"{rewarded.sum()} of them rewarded; the attention is that of the embedded agent\n")
    print("\n".join(_table(kept, rewarded, share)))
    drawn = kept_transitions(
        {compressor.name: mask for compressor, mask in kept.items()},
        rewards=history.rewards[0].double().numpy(),
        episodes=np.arange(n_transit) // room.horizon + 1,
        attention=share,
        caption=f"{room.name} {room.size}x{room.size} · goal {hidden} · {n_transit} transitions of {SOURCE}",
    )
    paths = save_figure(drawn, folder, "kept_transitions", formats)
    print("\n" + "\n".join(f"Saved what each keeps to: {on_one_line(path)}" for path in paths), flush=True)
    if page is not None:
        paths.append(context.report(page, length=target_length))
        print(f"Report saved to: {on_one_line(page)}", flush=True)
    return paths


def _context(room: Room, goal: Goal, n: int, seed: int) -> Context:
    """The first n steps of a learner, with the embedded agent's attention from the state that comes after them."""
    learned = make_source(SOURCE).learn(room, [goal], 1, n // room.horizon + 1, seed)
    rows = [np.moveaxis(values, 0, 1)[:, :n] for values in (learned.states, learned.actions, learned.next_states)]
    states, actions, next_states = (torch.from_numpy(values.astype(np.int64)) for values in rows)
    rewards = torch.from_numpy(learned.rewards.T[:, :n].astype(np.float32))
    times, dones = torch.arange(n)[None], torch.from_numpy(np.array(learned.dones.T[:, :n]))
    history = History(
        states=states,
        actions=actions,
        rewards=rewards,
        next_states=next_states,
        times=times,
        valid=torch.ones_like(times, dtype=torch.bool),
        dones=dones,
    )
    query = torch.from_numpy(learned.states[n].astype(np.int64))
    attended = replace(history, attention=load_agent("tiny").attention(history, query)).at(query)
    return Context(attended, query, torch.tensor([n]), goal=goal)


def _mask(selection: Selection, n: int) -> Bool[np.ndarray, " n"]:
    return np.isin(np.arange(n), selection.indices[selection.mask].numpy())


def _table(
    kept: Mapping[Compressor, Bool[np.ndarray, " n"]], rewarded: Bool[np.ndarray, " n"], share: Float[np.ndarray, " n"]
) -> list[str]:
    masks = list(kept.values())
    n = len(rewarded)
    rest = [
        Column("arguments", tuple(map(_arguments, kept))),
        Column("kept", tuple(str(mask.sum()) for mask in masks)),
        Column("% shorter", tuple(f"{1 - mask.mean():.1%}" for mask in masks)),
        Column("oldest", tuple(str(n - 1 - np.flatnonzero(mask)[0]) if mask.any() else "-" for mask in masks)),
        Column("rewarded", tuple(f"{(mask & rewarded).sum()}/{rewarded.sum()}" for mask in masks)),
        Column("attention", tuple(f"{share[mask].sum():.1%}" for mask in masks)),
    ]
    return panels(Column("compressor", tuple(compressor.name for compressor in kept)), rest, 80)


def _arguments(compressor: Compressor) -> str:
    """The options that are shown: the length, and what differs from its default."""
    shown = {field.name: getattr(compressor, field.name) for field in fields(compressor)}
    usual = {field.name: field.default for field in fields(compressor)}
    return " ".join(
        f"{name}={value}" for name, value in shown.items() if name == compressor.length_option or value != usual[name]
    )
