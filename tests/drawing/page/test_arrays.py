"""Arrays packed and unpacked by the obvious way back."""

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keepmap.drawing.page.arrays import Arrays, packed_flags, packed_floats, packed_numbers


@given(st.lists(st.booleans()))
def test_flags_come_back(flags):
    raw = np.frombuffer(zlib.decompress(packed_flags(np.array(flags, bool)), -15), np.uint8)
    assert np.unpackbits(raw)[: len(flags)].tolist() == flags


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_numbers_come_back(numbers):
    packed, about = packed_numbers(np.array(numbers, np.int64))
    planes = np.frombuffer(zlib.decompress(packed, -15), np.uint8).reshape(about["bytes"], about["n"])
    assert sum(plane.astype(np.int64) << (8 * at) for at, plane in enumerate(planes)).tolist() == numbers


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_keep_two_digits_and_infinities(values):
    packed, about = packed_floats(np.array(values, np.float32))
    low, high = np.frombuffer(zlib.decompress(packed, -15), np.uint8).reshape(2, about["n"]).astype(np.uint32)
    back = ((low | (high << 8)) << 16).view(np.float32)
    for value, read in zip(values, back.tolist(), strict=True):
        # What rounds up beyond the largest float is infinite.
        assert read == value or abs(read - value) <= abs(value) / 256 + 1e-38 or abs(value) > 3.3e38


def test_equal_arrays_share_an_element_and_are_counted_once():
    arrays = Arrays()
    names = [arrays.add(packed) for packed in (b"abcd", b"e", b"abcd")]
    assert names == ["a0", "a1", "a0"] and arrays.size == 12
    assert arrays.elements() == (
        '<script type="application/octet-stream" id="a0">YWJjZA==</script>\n'
        '<script type="application/octet-stream" id="a1">ZQ==</script>'
    )
