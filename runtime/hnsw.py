"""``vectors.usearch``: an approximate nearest-neighbour graph over a gallery's embeddings.

A cache: it can always be rebuilt from ``gallery.sqlite``, and what it answers are candidates that
the caller checks against it. The file is a USearch index (HNSW: Malkov and Yashunin, 2018,
arXiv:1603.09320) followed by a trailer that says which gallery and generation it was built from
and how to tell that it is whole. USearch itself would follow a damaged file out of bounds.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 # pyright: ignore - USearch crashes the process if loaded first
from numpy.typing import NDArray
from usearch.index import Index

from boost_edge.runtime.replace import replacing
from boost_edge.runtime.store import Vectors

__all__ = ["Hnsw"]

# Chosen on clustered vectors of 512 dimensions: recall@10 of 0.999 at 30,000 rows, where twice
# the connectivity finds nothing more and takes twice as long (docs/decisions).
_CONNECTIVITY = 16
_EXPANSION_ADD = 128
_EXPANSION_SEARCH = 128

# Magic with the trailer's version, gallery, generation, dimensions, rows, CRC-32 of the index.
_TRAILER = struct.Struct("<8s32sqqqI")
_MAGIC = b"bedgHNW1"


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
        threads: int,
        gallery: str,
        generation: int,
    ) -> Hnsw:
        """Build the graph from ids ``(n,) int64`` and unit vectors ``(n, D) float32`` in chunks."""
        index: Any = Index(
            ndim=dimensions,
            # Inner product of unit vectors is their cosine, and it takes a zero vector too.
            metric="ip",
            dtype="f32",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )
        for ids, matrix in chunks:
            index.add(ids.astype(np.uint64), matrix, threads=threads)
        return cls(index, gallery=gallery, generation=generation)

    @classmethod
    def open(cls, path: Path, *, gallery: str, dimensions: int) -> Hnsw | None:
        """Map the file into memory; None where it is absent, damaged, or of another gallery."""
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        if len(data) < _TRAILER.size:
            return None
        with memoryview(data) as view:
            graph, trailer = view[: -_TRAILER.size], view[-_TRAILER.size :]
            magic, owner, generation, width, rows, checksum = _TRAILER.unpack(trailer)
            found = (magic, owner, width, zlib.crc32(graph))
            if found != (_MAGIC, gallery.encode("ascii"), dimensions, checksum):
                return None
            index: Any = Index(ndim=dimensions, metric="ip", dtype="f32")
            try:
                index.view(graph)
            except (RuntimeError, ValueError):
                return None
        if len(index) != rows:
            return None
        index.expansion_search = _EXPANSION_SEARCH
        return cls(index, gallery=gallery, generation=generation, data=data)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        A folder that cannot be written to is no error: the graph serves this process as it is.
        """
        with suppress(OSError, RuntimeError), replacing(path) as temporary:
            self._write(temporary)

    def _write(self, path: Path) -> None:
        with path.open("wb+") as file:
            # USearch takes no file name that is not UTF-8, so it gets the open file.
            self._index.save(f"/dev/fd/{file.fileno()}")
            size = os.fstat(file.fileno()).st_size
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
                checksum = zlib.crc32(data)
            file.seek(size)
            owner = self._gallery.encode("ascii")
            shape = (self._index.ndim, len(self._index))
            file.write(_TRAILER.pack(_MAGIC, owner, self.generation, *shape, checksum))

    def candidates(self, query: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Return about ``count`` ids ``(n,) int64`` near a query ``(D,) float32``, in no order."""
        keys: NDArray[np.uint64] = self._index.search(query, count).keys
        return keys.astype(np.int64)

    def __len__(self) -> int:
        return len(self._index)
