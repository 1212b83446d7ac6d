"""Lines of bounded length: what is longer is None, the others are as Python reads them, and little is held at once."""

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.storage.lines import bounded_lines

contents = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n"]), max_size=30).map(b"".join)


@given(contents, st.integers(1, 6))
def test_lines_are_those_of_python_but_for_the_long_ones(content, largest):
    expected = [line if len(line) <= largest else None for line in io.BytesIO(content)]
    assert list(bounded_lines(io.BytesIO(content), largest)) == expected


def test_a_long_line_takes_no_memory(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"x" * 20_000_000 + b"\nshort\n")
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            assert list(bounded_lines(file, 1000)) == [None, b"short\n"]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_end_of_a_line_is_not_looked_for_forever(monkeypatch):
    monkeypatch.setattr("keepmap.core.storage.lines.LONGEST_LINE", 100)
    assert list(bounded_lines(io.BytesIO(b"x" * 90 + b"\nshort"), 30)) == [None, b"short"]
    with pytest.raises(OSError, match="one of its lines has more than 1 GiB"):
        list(bounded_lines(io.BytesIO(b"x" * 200 + b"\nshort"), 30))
