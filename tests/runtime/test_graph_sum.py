"""The checksum of a graph's vectors: the same at once and piece by piece."""

from __future__ import annotations

import mmap
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.runtime import graph_sum
from boost_edge.runtime.graph_sum import VectorsSum


def mapped(data: bytes) -> mmap.mmap:
    """Return bytes as a map of a file holds them."""
    held = mmap.mmap(-1, len(data))
    held[:] = data
    return held


@given(
    data=st.binary(min_size=1, max_size=200),
    piece=st.integers(1, 80),
    ends=st.tuples(st.integers(0, 199), st.integers(0, 199)),
    flipped=st.integers(0, 8 * 200 - 1) | st.none(),
)
def test_pieces_say_what_the_whole_says(
    data: bytes, piece: int, ends: tuple[int, int], flipped: int | None
) -> None:
    """A part is sound when none of its bits was flipped, whatever happened beside it."""
    start, end = sorted(min(each, len(data)) for each in ends)
    expected = zlib.crc32(data[start:end])
    changed = bytearray(data)
    sound = True
    if flipped is not None and flipped < 8 * len(data):
        changed[flipped // 8] ^= 1 << flipped % 8
        sound = not start <= flipped // 8 < end
    sums = [
        VectorsSum(mapped(bytes(changed)), start=start, end=end, expected=expected)
        for _ in range(2)
    ]
    assert sums[0].read_all() is sums[0].sound is sound
    searches = max(1, -(-(end - start) // piece))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_sum, "PIECE", piece)
        for number in range(searches):
            assert sums[1].sound is None, number
            sums[1].read_on()
        assert sums[1].sound is sound
        sums[1].read_on()
    assert sums[1].read_all() is sums[1].sound is sound
