"""Whether the vectors of a mapped search graph are those that were written.

They are most of the file, so opening a graph does not read them. They are read as a whole where
that is worth it or there is cause for doubt, and else piece by piece, one with each search.
"""

from __future__ import annotations

import mmap
import zlib

__all__ = ["PIECE", "VectorsSum"]

# Bytes that a search reads, 0.02 ms of it: all of 100,000 vectors of 512 bytes in 800 searches.
PIECE = 1 << 16


class VectorsSum:
    """The CRC-32 of a part of a mapped file, computed as far as was asked for.

    ``sound`` is whether the part is as it was written, None as long as that is not known.

    Parameters
    ----------
    data
        The file.
    start, end
        The part, in bytes.
    expected
        What its CRC-32 must be.
    """

    def __init__(self, data: mmap.mmap, *, start: int, end: int, expected: int) -> None:
        self._data = data
        self._start = start
        self._end = end
        self._expected = expected
        self._place = start
        self._sum = 0
        self.sound: bool | None = None

    def read_all(self) -> bool:
        """Return whether the part is as it was written; it is read once."""
        if self.sound is None:
            with memoryview(self._data) as view:
                self.sound = zlib.crc32(view[self._start : self._end]) == self._expected
        return self.sound

    def read_on(self) -> None:
        """Read one more piece; with the last one it is known whether the part is sound."""
        if self.sound is not None:
            return
        stop = min(self._place + PIECE, self._end)
        with memoryview(self._data) as view:
            self._sum = zlib.crc32(view[self._place : stop], self._sum)
        self._place = stop
        if stop == self._end:
            self.sound = self._sum == self._expected
