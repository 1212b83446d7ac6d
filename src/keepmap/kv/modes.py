"""When it is decided: while reading and generating, at the end of each chunk, or once after a context."""

from dataclasses import dataclass

from keepmap.core.arguments import as_number, as_size, shown
from keepmap.errors import InputError, counted, did_you_mean

__all__ = ["MODES", "Mode", "as_mode", "context_words"]

MODES = ("decode", "chunked", "once")


@dataclass(frozen=True)
class Mode:
    """When decisions fall.

    Attributes:
        name: one of `MODES`.
        chunk_size: queries that are processed together; 1 but in mode "chunked".
        interval: in mode "decode", after how many queries each decision falls.
        context_length: in mode "once", how many tokens are read before the one cut, or None where the first call on a
            cache says it; a float is a share of a text. None in the other modes.

    >>> Mode("once", context_length=0.5).context_of(9)
    4
    """

    name: str = "decode"
    chunk_size: int = 1
    context_length: int | float | None = None
    interval: int = 1

    @property
    def every(self) -> int:
        """Queries from decision to decision."""
        return self.chunk_size * self.interval

    @property
    def ends(self) -> bool:
        """Whether the end of a text is one: it ends a chunk, and no interval."""
        return self.interval == 1

    def context_of(self, n: int) -> int | None:
        """How many of n tokens are the context: of a share, what leaves at least one token on either side."""
        if isinstance(self.context_length, float):
            return max(1, min(n - 1, int(self.context_length * n)))
        return self.context_length

    @property
    def line(self) -> str:
        """What a header says of it.

        >>> Mode("once", context_length=0.5).line
        'Mode: once (50% of each text read densely, one cut after it)'
        """
        if self.name == "once":
            return f"Mode: once ({context_words(self.context_length)} read densely, one cut after it)"
        if self.interval > 1:
            return f"Interval: {self.interval} queries from decision to decision"
        return f"Chunk size: {self.chunk_size}{' (exact decoding)' * (self.chunk_size == 1)}"


def context_words(context_length: object) -> str:
    """A context in words: "512 tokens", or "50% of each text" for a share; of what is neither, as it is written."""
    if isinstance(context_length, float):
        return f"{100 * context_length:g}% of each text"
    return counted(context_length, "token") if isinstance(context_length, int) else shown(context_length)


def as_mode(
    mode: object,
    chunk_size: object = 1,
    context_length: object = None,
    interval: object = 1,
    *,
    shares: bool = False,
) -> Mode:
    """The mode that the parameters name: "decode" by default, or "chunked" where a `chunk_size` is given.

    >>> as_mode(None), as_mode(None, 7).name
    (Mode(name='decode', chunk_size=1, context_length=None, interval=1), 'chunked')

    Args:
        shares: whether a context may be a share of each text.

    Raises:
        InputError: an unknown mode, a number out of range, or one that the mode does not take.
    """
    chunk_size, interval = as_size("chunk_size", chunk_size, 1), as_size("interval", interval, 1)
    if shares and isinstance(context_length, float):
        context: int | float | None = as_number("context_length", context_length)
        if not 0 < context_length < 1:
            raise InputError(
                "expected `context_length` to be a number of tokens, or a share of each text between 0 and 1, got "
                f"{shown(context_length)}"
            )
    else:
        context = None if context_length is None else as_size("context_length", context_length, 1)
    name = ("decode" if chunk_size == 1 else "chunked") if mode is None else mode
    if name not in MODES:
        hint = did_you_mean(name, MODES) if isinstance(name, str) else f"expected one of {', '.join(MODES)}"
        raise InputError(f"unknown `mode` {shown(name)}, {hint}")
    if name == "chunked" and chunk_size == 1:
        raise InputError('expected a `chunk_size` of 2 or more in mode "chunked", got 1, which is mode "decode"')
    if name != "chunked" and chunk_size != 1:
        raise InputError(f'expected no `chunk_size` in mode "{name}", got {chunk_size}; mode "chunked" takes one')
    if name != "once" and context is not None:
        raise InputError(f'expected no `context_length` in mode "{name}", got {context}; mode "once" takes one')
    if name != "decode" and interval != 1:
        raise InputError(f'expected no `interval` in mode "{name}", got {interval}; mode "decode" takes one')
    return Mode(str(name), chunk_size, context, interval)
