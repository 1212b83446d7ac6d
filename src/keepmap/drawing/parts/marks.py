"""What the pictures of an AttentionProfile share: how positions are named, where episodes start, what was rewarded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from keepmap.attention import AttentionProfile
from keepmap.core.arguments import as_integer
from keepmap.errors import InputError

__all__ = ["Marks", "Positions", "layer_index", "name_of", "positions_of", "shown"]

MOST_TOKENS = 40
"""Texts of at most so many tokens have them as tick labels."""

LONGEST = 14
"""Characters of a token that are shown."""

REWARD = "#D55E00"
_APART = 9.0
"""Points that two episodes' lines are apart at least."""

_MARK = 4.0
"""Points that a reward's mark is long."""


def layer_index(profile: AttentionProfile, layer: int | None) -> int:
    """Where a layer of the model stands in the profile; None is the last one.

    Raises:
        InputError: it was not profiled.
    """
    if layer is None:
        return len(profile.layers) - 1
    if as_integer("layer", layer, None) not in profile.layers:
        known = ", ".join(map(str, profile.layers))
        raise InputError(f"layer={layer} is not in the profile, which has layers {known}; use one of those")
    return profile.layers.index(layer)


def name_of(profile: AttentionProfile, position: int) -> str:
    """A position in words: `9`, or `9, (episode, step) (1, 10)` for an agent."""
    if profile.landmarks is None:
        return str(position)
    return f"{position}, (episode, step) {profile.landmarks.labels[position]}"


def shown(text: str) -> str:
    """A token as it can be read: escapes for what has no glyph, a mark for a space at an end, cut where it is long."""
    font = get_font(findfont(FontProperties()))
    plain = "".join(
        char if char.isprintable() and font.get_char_index(ord(char)) else char.encode("unicode_escape").decode()
        for char in text
    )
    if not plain:
        return "''"
    left, right = len(plain) - len(plain.lstrip(" ")), len(plain) - len(plain.rstrip(" "))
    inner = plain.strip(" ")
    marked = "\N{OPEN BOX}" * left + inner + "\N{OPEN BOX}" * (right if inner else 0)
    return marked if len(marked) <= LONGEST else marked[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Positions:
    """How an axis names the positions of a profile.

    Attributes:
        n: how many there are.
        kind: what stands at the ticks, empty for numbers.
        places, texts: of its ticks.
        tokens: whether every position has one, which is its token.
    """

    n: int
    kind: str
    places: Sequence[int]
    texts: Sequence[str]
    tokens: bool = False

    def across(self, ax: Axes, named: bool = True, size: float = 8.0) -> None:
        """Make the marks the x axis of `ax`."""
        ax.set_xlim(-0.5, self.n - 0.5)
        ax.xaxis.set_minor_locator(NullLocator())
        if not named:
            ax.set_xticks([])
            return
        ax.set_xticks(self.places, self.texts, rotation=90 if self.tokens else 0, fontsize=size, parse_math=False)
        ax.tick_params(axis="x", length=2)
        ax.set_xlabel(f"position: {self.kind}" if self.kind else "position", fontsize=9)
        if self.kind and not self.tokens:  # long words, and neighbours stand close
            for place, text in zip(self.places, ax.get_xticklabels(), strict=True):
                text.set_horizontalalignment("left" if place == 0 else "right" if place == self.n - 1 else "center")

    def down(self, ax: Axes, named: bool = True, size: float = 8.0) -> None:
        """Make them the y axis of `ax`, as the queries, the first on top."""
        ax.set_ylim(self.n - 0.5, -0.5)
        ax.yaxis.set_minor_locator(NullLocator())
        if not named:
            ax.set_yticks([])
            return
        ax.set_yticks(self.places, self.texts, fontsize=size, parse_math=False)
        ax.tick_params(axis="y", length=2)
        ax.set_ylabel(f"query: {self.kind}" if self.kind else "query", fontsize=9)


def positions_of(profile: AttentionProfile, most: int, tokens: bool = True) -> Positions:
    """About `most` ticks: (episode, step) for an agent, every token of a short text if `tokens`, else numbers."""
    n = profile.shape[2]
    if profile.landmarks is not None:
        # The oldest, the starts of episodes, and the query, as far as there is room.
        starts, places = profile.landmarks.starts, [0]
        for place in starts if len(starts) > 1 else _numbers(n, most):
            if min(place - places[-1], n - 1 - place) >= n / most:
                places.append(place)
        places.append(n - 1)
        return Positions(n, "(episode, step)", places, [profile.landmarks.labels[place] for place in places])
    if tokens and profile.labels is not None and n <= MOST_TOKENS:
        return Positions(n, "token", range(n), [shown(text) for text in profile.labels], tokens=True)
    places = _numbers(n, most)
    return Positions(n, "", places, [str(place) for place in places])


def _numbers(n: int, most: int) -> list[int]:
    ticks = MaxNLocator(nbins=most, integer=True, steps=[1, 2, 4, 5, 10]).tick_values(0, max(1, n - 1))
    return [int(place) for place in ticks if 0 <= place <= n - 1]


@dataclass(frozen=True)
class Marks:
    """Where lines are drawn for episodes, and marks for rewards; nothing of either without landmarks.

    Attributes:
        starts: the first positions of episodes, all of them or every so many.
        every: every how many.
        rewarded: the positions of transitions with a reward that is not 0.
        colour: of the lines.
    """

    starts: Integer[np.ndarray, " E"]
    every: int
    rewarded: Integer[np.ndarray, " R"]
    colour: str

    @classmethod
    def of(cls, profile: AttentionProfile, width: float, colour: str) -> "Marks":
        """The marks for an axis of that many points: lines so close that they would hide the rest are left out."""
        places = ([], []) if profile.landmarks is None else (profile.landmarks.starts, profile.landmarks.rewarded)
        starts, rewarded = (np.array(part, dtype=np.int64) for part in places)
        every = max(1, -(-int(len(starts) * _APART) // max(1, int(width))))
        return cls(starts[every - 1 :: every], every, rewarded, colour)

    @property
    def legend(self) -> list[Artist]:
        """The legend's entries for what there is."""
        name = "an episode starts" if self.every == 1 else f"an episode starts (every {self.every})"
        entries: list[Artist] = []
        if len(self.starts):
            entries.append(Line2D([], [], color="0.5", linewidth=0.8, label=name))
        if len(self.rewarded):
            entries.append(
                Line2D([], [], color=REWARD, linewidth=0, marker="|", markersize=6, label="rewarded (mark at the edge)")
            )
        return entries

    def across(self, ax: Axes) -> None:
        """Lines from top to bottom, and marks above the upper edge."""
        x = ax.get_xaxis_transform()
        edge = 1 + _MARK / (ax.bbox.height / ax.figure.dpi * 72)
        ax.vlines(self.starts - 0.5, 0, 1, transform=x, color=self.colour, linewidth=0.5, zorder=1.5)
        ax.vlines(self.rewarded, 1, edge, transform=x, color=REWARD, linewidth=1.0, clip_on=False)

    def down(self, ax: Axes) -> None:
        """Lines from left to right, and marks beyond the right edge."""
        y = ax.get_yaxis_transform()
        edge = 1 + _MARK / (ax.bbox.width / ax.figure.dpi * 72)
        ax.hlines(self.starts - 0.5, 0, 1, transform=y, color=self.colour, linewidth=0.5, zorder=1.5)
        ax.hlines(self.rewarded, 1, edge, transform=y, color=REWARD, linewidth=1.0, clip_on=False)
