"""A text that is put together from pieces, of which some are remembered by where they stand."""

from keepmap.kv.tasks.task import Span

__all__ = ["Woven"]


class Woven:
    """Gathers pieces.

    >>> woven = Woven("Some ")
    >>> woven.add("needle"), woven.text
    ((5, 11), 'Some needle')
    """

    def __init__(self, start: str = "") -> None:
        self._pieces = [start]
        self._length = len(start)

    def add(self, piece: str) -> Span:
        """Put a piece behind the others; where it stands."""
        first = self._length
        self._pieces.append(piece)
        self._length += len(piece)
        return first, self._length

    @property
    def text(self) -> str:
        """All of them."""
        return "".join(self._pieces)
