"""What keepmap raises when the fault is not its own.

    KeepmapError                what every one of them is
    ├── InputError              an option or a data file is not usable        (also a ValueError)
    ├── ModelError              a model, tokenizer or surrogate is not usable (also a ValueError)
    ├── OutputError             a result cannot be written                    (also an OSError)
    ├── WorkerError             a worker process died too often               (also a RuntimeError)
    └── ImpossibleResultError   a number broke an invariant: a bug, or a broken model (also an ArithmeticError)

A message is one line: what was expected, what was given, what to do. The command line prints it after `error: ` and
exits with 2; `assert` is kept for our own bugs.

A message names a parameter in backquotes, `max_length`, or with its value, max_length=256; the command line says
--max_length and --max_length 256 instead, where the verb that runs has such an option. It reads these two forms only:

- a name in backquotes that is the name of a parameter and nothing else;
- name=value where the name begins a word, and the value is a number, a word, a quotation, or a list, tuple or mapping
  of these: dtype="float32" becomes --dtype float32, layers=[0, 1] becomes --layers 0 1, verify=True becomes --verify.

Everything else stays as it is. Text in "double quotes", in 'single quotes' or in backquotes with anything but a name is
a quotation; what stands between square or curly brackets, and in the parentheses of a call such as f(density=0.2), is
code; words that the user has typed are the user's.
"""

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "ImpossibleResultError",
    "InputError",
    "KeepmapError",
    "ModelError",
    "OutputError",
    "WorkerError",
    "counted",
    "did_you_mean",
    "escaped",
    "kind_of",
    "on_one_line",
    "shortened",
]

LONGEST = 400
"""Letters of a message; names that a file gives can have any number of them."""

_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f"  # control characters but the tab and the end of a line; ESC is one
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of the text around it
    "\u2028\u2029\ud800-\udfff\U000e0000-\U000e007f]"  # other ends of lines, halves of characters, tags
)


class KeepmapError(Exception):
    """The base of every error that keepmap raises on purpose; what files and users put into its message is escaped."""

    def __str__(self) -> str:
        return shortened(escaped(super().__str__()))


class InputError(KeepmapError, ValueError):
    """An option or a data file is not usable as given."""


class ModelError(KeepmapError, ValueError):
    """A model, a tokenizer or a surrogate cannot be loaded, or is not supported."""


class OutputError(KeepmapError, OSError):
    """A result cannot be written to the given place."""


class WorkerError(KeepmapError, RuntimeError):
    """A worker process died, and so did the one that took over its work."""


class ImpossibleResultError(KeepmapError, ArithmeticError):
    """A number broke an invariant (a density above 1, an eviction that changed nothing, a NaN)."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the close match to `name` if there is one, else all that is known.

    >>> did_you_mean("densty", ["density", "seed"])
    'did you mean "density"?'
    >>> did_you_mean("H2O", ["h2o", "random"])
    'did you mean "h2o"?'
    """
    known = sorted(known)
    by_small = {key.lower(): key for key in known}
    close = difflib.get_close_matches(name.lower(), by_small, n=1)
    return f'did you mean "{by_small[close[0]]}"?' if close else f"known: {', '.join(known)}"


def counted(n: int, noun: str) -> str:
    """A number and what it counts, in the plural but for one.

    >>> counted(1, "sample"), counted(1200, "sample")
    ('1 sample', '1,200 samples')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def escaped(text: str) -> str:
    """The text with escapes in place of what a terminal obeys, and of what changes how the text around it is shown.

    >>> print(escaped("a name\\x1b[2J that clears the screen"))
    a name\\x1b[2J that clears the screen
    """
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def on_one_line(name: object) -> str:
    """As `escaped`, and without ends of lines: a path or another name inside a line that is printed.

    >>> print(on_one_line("a name\\nerror: and a line of its own"))
    a name\\nerror: and a line of its own
    """
    return escaped(str(name)).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and its end where it is longer: what was given, and what to do.

    >>> shortened("no file at " + 60 * "x" + "; give one", 40)
    'no file at xxxxxxxx … xxxxxxxx; give one'
    """
    if len(text) <= longest:
        return text
    half = (longest - 3) // 2
    return f"{text[: longest - 3 - half]} … {text[-half:]}"


def kind_of(value: object) -> str:
    """What a value is, for the end of "expected ..., got ...".

    >>> kind_of([1, 2]), kind_of(3), kind_of(None), kind_of(int)
    ('a list', 'an int', 'None', 'the class int')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
