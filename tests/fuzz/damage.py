"""Damage to files that a seed decides: bits, bytes, lengths, numbers, and what stands at their place."""

import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["damage", "restore"]

HEAD = 2048
"""Bytes at the beginning of a file; most damage falls there, where formats say what follows."""

TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"null", b"true", b"NaN", b"1e999", b"-1", b"0", b"\x00",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\x1b[2J", b"\\ud800", b"&a", b"*a", b"!!python/object", b"- ",
    b": ", b"%", b"../", b"[" * 100_000, b'{"a":' * 5000, b"9" * 5000, b"\xe2\x80\xae",
)  # fmt: skip
NUMBERS = (b"0", b"-1", b"1e308", b"-0.0", b"4294967296", b"9223372036854775807", b"18446744073709551616", b"1" * 400)
WORDS = (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63, 2**64 - 1)


def damage(folder: Path, files: Mapping[str, bytes], rng: random.Random) -> str:
    """Damage one or two of the files that lie in a folder; says how."""
    names = rng.sample(sorted(files), k=min(len(files), 1 + (rng.random() < 0.1)))
    return "; ".join(_of_file(folder / name, files[name], rng) for name in names)


def _of_file(path: Path, content: bytes, rng: random.Random) -> str:
    if rng.random() < 0.03:
        return _of_place(path, rng)
    how = rng.choice(HOW)
    content, what = how(content, rng)
    path.write_bytes(content)
    return f"{path.name}: {what}"


def _of_place(path: Path, rng: random.Random) -> str:
    path.unlink()
    kind = rng.choice(["nothing", "a folder", "a FIFO", "a link in a circle", "nothing but bytes"])
    if kind == "a folder":
        path.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a link in a circle":
        path.symlink_to(path.name)
    elif kind == "nothing but bytes":
        path.write_bytes(rng.randbytes(rng.randrange(300)))
    return f"{kind} at {path.name}"


def restore(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the good files back, and nothing else."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _place(content: bytes, rng: random.Random) -> int:
    return rng.randrange(max(1, min(len(content), HEAD if rng.random() < 0.7 else len(content))))


def _bits(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    values, places = bytearray(content or b"\0"), list[int]()
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        places.append(_place(content, rng))
        values[places[-1]] ^= 1 << rng.randrange(8)
    return bytes(values), f"bits flipped at {places}"


def _bytes(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    values, at = bytearray(content or b"\0"), _place(content, rng)
    values[at] = rng.choice([0, 255, rng.randrange(256), ord(" "), ord("9")])
    return bytes(values), f"byte {at} is {values[at]}"


def _cut(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    end = rng.choice([0, 1, 7, 8, 9, _place(content, rng), rng.randrange(len(content) + 1)])
    return content[:end], f"cut at {end}"


def _without(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    start, n = _place(content, rng), rng.choice([1, 1, 4, 64, 1000])
    return content[:start] + content[start + n :], f"{n} bytes left out at {start}"


def _twice(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    start, n = _place(content, rng), rng.choice([1, 16, 200, 5000])
    times = rng.choice([1, 1, 50])
    return content[:start] + content[start : start + n] * times + content[start:], f"{n} bytes again at {start}"


def _token(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    at, token = _place(content, rng), rng.choice(TOKENS)
    over = rng.choice([0, len(token)])
    return content[:at] + token + content[at + over :], f"{token[:12]!r} at {at}"


def _number(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """A number that is written in digits becomes another one."""
    digits = [at for at, byte in enumerate(content[: 20 * HEAD]) if 48 <= byte <= 57]
    if not digits:
        return _bits(content, rng)
    start = end = rng.choice(digits)
    while start and content[start - 1] in b"0123456789.-+e":
        start -= 1
    while end < len(content) and content[end] in b"0123456789.-+e":
        end += 1
    number = rng.choice(NUMBERS)
    return content[:start] + number + content[end:], f"{number[:20]!r} in place of a number at {start}"


def _word(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Eight or four bytes become an integer that sizes and offsets are read as."""
    at, size = _place(content, rng) // 4 * 4, rng.choice([4, 8])
    word = rng.choice(WORDS) % 2 ** (8 * size)
    return content[:at] + word.to_bytes(size, "little") + content[at + size :], f"the word {word} at {at}"


def _noise(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    at, n = _place(content, rng), rng.choice([1, 4, 100])
    return content[:at] + rng.randbytes(n) + content[at + n :], f"{n} bytes of noise at {at}"


HOW: tuple[Callable[[bytes, random.Random], tuple[bytes, str]], ...] = (
    _bits, _bits, _bytes, _cut, _without, _twice, _token, _token, _number, _number, _word, _noise,
)  # fmt: skip
