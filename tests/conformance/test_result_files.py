"""Every JSON file that is read back: a digit that is another one than was written is one line, wherever it stands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from keepmap.errors import InputError, ModelError
from tests.fuzz.targets import TARGETS

FILES = {
    "checkpoint": "run/ckpt-10/checkpoint.json",
    "comparison": "out/detailed_results.json",
    "evaluation": "evaluation.json",
    "generation": "generation.json",
    "study": "study.json",
    "surrogate": "surrogate/config.json",
    "trained-surrogate": "surrogate/explained_variance.json",
    "verification": "attention.json",
}


@pytest.fixture(params=FILES)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[], object]]:
    """Such a file, and what reads it."""
    target = TARGETS[request.param]
    target.build(tmp_path)
    return tmp_path / FILES[request.param], lambda: target.use(tmp_path)


def test_another_digit_is_one_line_and_a_file_without_a_checksum_reads(
    written: tuple[Path, Callable[[], object]],
) -> None:
    path, read = written
    text = path.read_text(encoding="utf-8")
    good = repr(read())
    checksum = range(start := text.index(json.loads(text)["checksum"]), start + 16)
    digits = [at for at, char in enumerate(text) if char.isdecimal() and at not in checksum]
    assert len(digits) >= 4
    for at in digits[:: max(1, len(digits) // 25)]:
        other = str((int(text[at]) + 1) % 10)
        path.write_text(text[:at] + other + text[at + 1 :], encoding="utf-8")
        # It is the same only where it is the last of more digits than a number has.
        assert (message := _message(read, good)) is None or (str(path) in message and "\n" not in message)
    document = json.loads(text)
    del document["checksum"]
    path.write_text(json.dumps(document), encoding="utf-8")
    assert repr(read()) == good


def _message(read: Callable[[], object], good: str) -> str | None:
    """What is said of the file; None where it gives what the good one gives."""
    try:
        again = read()
    except (InputError, ModelError) as error:
        return str(error)
    assert repr(again) == good
    return None
