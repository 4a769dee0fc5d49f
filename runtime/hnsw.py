"""``vectors.usearch``: an approximate nearest-neighbour graph over a gallery's embeddings.

A cache: it can always be rebuilt from ``gallery.sqlite``, and what it answers are candidates that
the caller checks against it. It holds each distinct vector once, under its key (``vector_key``):
among a thousand equal ones a graph loses its way, and no longer finds what is around them.

The file is a USearch index (HNSW: Malkov and Yashunin, 2018, arXiv:1603.09320) followed by a
trailer that says which gallery and generation it was built from and how to tell that it is whole;
USearch itself would follow a damaged file out of bounds.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 # pyright: ignore[reportUnusedImport] # or USearch crashes
from numpy.typing import NDArray
from usearch.index import Index

from boost_edge.runtime.replace import replacing
from boost_edge.runtime.store import Vectors

__all__ = ["CacheError", "Hnsw"]

# Measured at 512 dimensions in clusters of 100: recall@10 above 0.999 at 40,000 rows. A search half
# as wide finds as much there and takes half as long, but less where a confident head presses
# thousands of embeddings together. Twice the connectivity gains nothing.
_CONNECTIVITY = 16
_EXPANSION_ADD = 128
_EXPANSION_SEARCH = 256

# Magic with the trailer's version, gallery, generation, dimensions, rows; then the CRC-32 of the
# index and all this.
_TRAILER = struct.Struct("<8s32sqqq")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"bedgHNW1"


class CacheError(ValueError):
    """The file cannot be used; ``code`` is ``missing``, ``damaged`` or ``foreign``."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


class Hnsw:
    """A graph over the embeddings of one generation of one gallery; nothing is added to it later.

    ``generation`` is the one it was built from.
    """

    def __init__(self, index: Any, *, gallery: str, generation: int, data: object = None) -> None:
        self._index = index
        self._gallery = gallery
        # A graph read from a file points into these bytes.
        self._data = data
        self.generation = generation

    @classmethod
    def build(
        cls,
        chunks: Iterable[Vectors],
        *,
        dimensions: int,
        gallery: str,
        generation: int,
    ) -> Hnsw:
        """Build the graph from chunks of keys ``(n,) int64`` and vectors ``(n, D) float32``."""
        index: Any = Index(
            ndim=dimensions,
            # Inner product of unit vectors is their cosine, and it takes a zero vector too.
            metric="ip",
            dtype="f32",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )
        for keys, matrix in chunks:
            distinct, first = np.unique(keys.astype(np.uint64), return_index=True)
            new = ~index.contains(distinct)
            # With several threads USearch 2.26 loses about one vector in 3,000 for good: no search
            # reaches it again. With one, the same vectors also make the same graph.
            index.add(distinct[new], matrix[first[new]], threads=1)
        return cls(index, gallery=gallery, generation=generation)

    @classmethod
    def open(cls, path: Path, *, gallery: str, dimensions: int) -> Hnsw | None:
        """Map the file into memory; None where it is absent, damaged, or of another gallery."""
        try:
            return cls.read(path, gallery=gallery, dimensions=dimensions)
        except CacheError:
            return None

    @classmethod
    def read(cls, path: Path, *, gallery: str, dimensions: int) -> Hnsw:
        """Map the file into memory.

        Raises
        ------
        CacheError
            When it is absent, damaged, or of another gallery.
        """
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise CacheError("missing", "there is no such file") from error
        except (OSError, ValueError) as error:
            raise CacheError("damaged", f"it cannot be read ({error})") from error
        graph_size = len(data) - _TRAILER.size - _CHECKSUM.size
        if graph_size < 0:
            raise CacheError("damaged", f"it has only {len(data)} bytes")
        with memoryview(data) as view:
            trailer = _TRAILER.unpack_from(view, graph_size)
            magic, owner, generation, width, rows = trailer
            (checksum,) = _CHECKSUM.unpack_from(view, graph_size + _TRAILER.size)
            if zlib.crc32(view[: -_CHECKSUM.size]) != checksum:
                raise CacheError("damaged", "its checksum is wrong")
            if (magic, owner, width) != (_MAGIC, gallery.encode("ascii"), dimensions):
                raise CacheError("foreign", "it belongs to another gallery or format")
            index: Any = Index(ndim=dimensions, metric="ip", dtype="f32")
            try:
                index.view(view[:graph_size])
            except (RuntimeError, ValueError) as error:
                raise CacheError("damaged", f"USearch cannot read it ({error})") from error
        if len(index) != rows:
            raise CacheError("damaged", f"it holds {len(index)} vectors, not {rows}")
        index.expansion_search = _EXPANSION_SEARCH
        return cls(index, gallery=gallery, generation=generation, data=data)

    @staticmethod
    def built_from(path: Path) -> int | None:
        """Return the generation that a file says it is of, unchecked; None where it says none."""
        try:
            with path.open("rb") as file:
                file.seek(-_TRAILER.size - _CHECKSUM.size, os.SEEK_END)
                magic, _, generation, *_ = _TRAILER.unpack(file.read(_TRAILER.size))
        except (OSError, struct.error):
            return None
        return generation if magic == _MAGIC else None

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        A folder that cannot be written to is no error: the graph serves this process as it is.
        """
        with suppress(OSError, RuntimeError), replacing(path) as temporary:
            self._write(temporary)

    def _write(self, path: Path) -> None:
        with path.open("wb+") as file:
            # Whoever cleans up meanwhile leaves a locked file alone.
            fcntl.flock(file, fcntl.LOCK_EX)
            # USearch takes no file name that is not UTF-8, so it gets the open file.
            self._index.save(f"/dev/fd/{file.fileno()}")
            file.seek(0, os.SEEK_END)
            owner = self._gallery.encode("ascii")
            shape = (self._index.ndim, len(self._index))
            file.write(_TRAILER.pack(_MAGIC, owner, self.generation, *shape))
            file.flush()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                checksum = zlib.crc32(data)
            file.write(_CHECKSUM.pack(checksum))

    def candidates(self, query: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Return about ``count`` keys ``(n,) int64`` near a query ``(D,) float32``."""
        keys: NDArray[np.uint64] = self._index.search(query, count).keys
        return keys.astype(np.int64)

    def missing(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some keys ``(n,) int64`` that are not in the graph."""
        absent: NDArray[np.int64] = keys[~self._index.contains(keys.astype(np.uint64))]
        return absent

    def __len__(self) -> int:
        return len(self._index)
