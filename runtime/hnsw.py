"""``vectors.usearch``: an approximate nearest-neighbour graph over a gallery's embeddings.

A cache: it can always be rebuilt from ``gallery.sqlite``, and what it answers are candidates that
the caller checks against it. It holds each distinct vector once, under its key (``vector_key``):
among a thousand equal ones a graph loses its way, and no longer finds what is around them.

The file is a USearch index (HNSW: Malkov and Yashunin, 2018, arXiv:1603.09320) followed by a
trailer that says which gallery and generation it was built from, how its vectors are held, and how
to tell that it is whole. The index is the number of vectors and their width in bytes (two 32-bit
integers), the vectors one after another, then the graph. USearch would follow a damaged graph out
of bounds, so it is checked whenever it is opened. Damaged vectors cost hits, though they never give
a wrong score, for scores come from the database; they are most of the file, and ``graph_sum`` says
when they are checked.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnxruntime  # noqa: F401 # pyright: ignore[reportUnusedImport] # or USearch crashes
from numpy.typing import NDArray
from usearch.index import Index

from boost_edge.runtime.binding import DEFAULT_GRAPH_DTYPE, GRAPH_DTYPES, GraphDtype
from boost_edge.runtime.graph_sum import VectorsSum
from boost_edge.runtime.graph_vectors import GraphVectors
from boost_edge.runtime.replace import replacing
from boost_edge.runtime.store import Vectors

__all__ = ["CacheError", "GraphLabel", "Hnsw"]

# Measured (docs/decisions/0007). More links or a longer search while building gained nothing that a
# longer search later does not.
_CONNECTIVITY = 16
_EXPANSION_ADD = 128

# Magic with the trailer's version, gallery, generation, dimensions, rows, dtype, its scale, CRC-32
# of the vectors; then the CRC-32 of all but the vectors.
_TRAILER = struct.Struct("<8s32sqqq4sdI")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"bedgHNW2"
# Rows, and bytes of a row.
_HEAD = struct.Struct("<II")


class CacheError(ValueError):
    """The file cannot be used; ``code`` is ``missing``, ``damaged``, ``vectors`` or ``foreign``."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphLabel:
    """What a file says of itself: its gallery, the generation it was built from, its dtype."""

    gallery: str
    generation: int
    dtype: str


class Hnsw:
    """A graph over the embeddings of one generation of one gallery; nothing is added to it later.

    ``generation`` is the one it was built from.
    """

    def __init__(
        self,
        index: Any,
        *,
        vectors: GraphVectors,
        gallery: str,
        generation: int,
        data: object = None,
        vectors_sum: VectorsSum | None = None,
    ) -> None:
        self._index = index
        self._vectors = vectors
        self._gallery = gallery
        # A graph read from a file points into these bytes.
        self._data = data
        # None of what was built here, which nothing has damaged.
        self._vectors_sum = vectors_sum
        self.generation = generation

    @classmethod
    def build(
        cls,
        chunks: Callable[[], Iterable[Vectors]],
        *,
        dimensions: int,
        gallery: str,
        generation: int,
        dtype: GraphDtype = DEFAULT_GRAPH_DTYPE,
        added: Callable[[int], None] | None = None,
    ) -> Hnsw:
        """Build the graph from chunks of keys ``(n,) int64`` and vectors ``(n, D) float32``.

        ``chunks`` is called twice where the vectors' range must be known first, and gives the same.
        ``added`` is called with the number of vectors that were looked at, as it grows.
        """
        vectors = GraphVectors.fitting(dtype, chunks() if dtype == "i8" else ())
        index: Any = Index(
            ndim=dimensions,
            # Inner product of unit vectors is their cosine, and it takes a zero vector too.
            metric="ip",
            dtype=dtype,
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=1,
        )
        seen = 0
        for keys, matrix in chunks():
            distinct, first = np.unique(keys.astype(np.uint64), return_index=True)
            new = ~index.contains(distinct)
            # With several threads USearch 2.26 loses about one vector in 3,000 for good: no search
            # reaches it again. With one, the same vectors also make the same graph.
            index.add(distinct[new], vectors.encode(matrix[first[new]]), threads=1)
            seen += len(keys)
            if added is not None:
                added(seen)
        return cls(index, vectors=vectors, gallery=gallery, generation=generation)

    @classmethod
    def open(
        cls, path: Path, *, gallery: str, dimensions: int, dtype: GraphDtype | None = None
    ) -> Hnsw | None:
        """Map the file into memory; None where it is absent, damaged, or not what is wanted.

        Without ``dtype`` its vectors may be held in any way: the file says how.
        """
        try:
            return cls.read(path, gallery=gallery, dimensions=dimensions, dtype=dtype)
        except CacheError:
            return None

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        gallery: str,
        dimensions: int,
        dtype: GraphDtype | None = None,
        whole: bool = False,
    ) -> Hnsw:
        """Map the file into memory.

        Parameters
        ----------
        path
            The file.
        gallery
            The gallery that it must belong to.
        dimensions
            How wide its vectors must be.
        dtype
            How it must hold them; None for any way.
        whole
            Whether to check the vectors too, and to be able to say what is ``missing``. Without
            it opening takes no longer for vectors that are many times the size of the graph.

        Raises
        ------
        CacheError
            When it is absent, damaged, or of another gallery, width, dtype or format; ``vectors``
            is the code where all but its vectors is as it was written.
        """
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise CacheError("missing", "there is no such file") from error
        except (OSError, ValueError) as error:
            raise CacheError("damaged", f"it cannot be read ({error})") from error
        size = len(data) - _TRAILER.size - _CHECKSUM.size
        if size < _HEAD.size:
            raise CacheError("damaged", f"it has only {len(data)} bytes")
        with memoryview(data) as view:
            (magic, owner, generation, width, rows, name, scale, expected) = _TRAILER.unpack_from(
                view, size
            )
            held, row_bytes = _HEAD.unpack_from(view)
            end = _HEAD.size + held * row_bytes
            (checksum,) = _CHECKSUM.unpack_from(view, size + _TRAILER.size)
            if end > size or _sum_of_graph(view, end) != checksum:
                raise CacheError("damaged", "its checksum is wrong")
            kind = name.rstrip(b"\0").decode("ascii")
            if (magic, owner, width) != (
                _MAGIC,
                gallery.encode("ascii"),
                dimensions,
            ) or kind not in ((dtype,) if dtype else GRAPH_DTYPES):
                raise CacheError("foreign", "it belongs to another gallery or format")
            vectors_sum = VectorsSum(data, start=_HEAD.size, end=end, expected=expected)
            if whole and not vectors_sum.read_all():
                raise CacheError("vectors", "the checksum of its vectors is wrong")
            vectors = GraphVectors(dtype=kind, scale=scale)
            if held != rows or (rows and row_bytes != width * vectors.itemsize):
                raise CacheError("damaged", f"it holds {held} vectors of {row_bytes} bytes")
            # Who only searches needs no table of the keys.
            index: Any = Index(ndim=width, metric="ip", dtype=kind, enable_key_lookups=whole)
            try:
                index.view(view[:size])
            except (RuntimeError, ValueError) as error:
                raise CacheError("damaged", f"USearch cannot read it ({error})") from error
        if len(index) != rows:
            raise CacheError("damaged", f"it holds {len(index)} vectors, not {rows}")
        index.expansion_search = 1
        return cls(
            index,
            vectors=vectors,
            gallery=gallery,
            generation=generation,
            data=data,
            vectors_sum=vectors_sum,
        )

    @staticmethod
    def label_of(path: Path) -> GraphLabel | None:
        """Return what a file says of itself, unchecked; None where it says nothing."""
        try:
            with path.open("rb") as file:
                file.seek(-_TRAILER.size - _CHECKSUM.size, os.SEEK_END)
                magic, owner, generation, _, _, name, *_ = _TRAILER.unpack(file.read(_TRAILER.size))
        except (OSError, struct.error):
            return None
        if magic != _MAGIC:
            return None
        # Of a damaged file the names may be anything.
        gallery, dtype = owner.decode("latin-1"), name.rstrip(b"\0").decode("latin-1")
        return GraphLabel(gallery=gallery, generation=generation, dtype=dtype)

    def save(self, path: Path) -> bool:
        """Write the file, whole or not at all; return whether it was written.

        A folder that cannot be written to is no error: the graph serves this process as it is.
        """
        with suppress(OSError, RuntimeError), ExitStack() as stack:
            with replacing(path) as temporary:
                # It stays open, and so locked, until it has its name: whoever cleans up meanwhile
                # leaves a locked file alone.
                file = stack.enter_context(temporary.open("wb+"))
                fcntl.flock(file, fcntl.LOCK_EX)
                self._write(file)
            return True
        return False

    def _write(self, file: IO[bytes]) -> None:
        # USearch takes no file name that is not UTF-8, so it gets the open file.
        self._index.save(f"/dev/fd/{file.fileno()}")
        file.seek(0, os.SEEK_END)
        file.flush()
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            rows, row_bytes = _HEAD.unpack_from(view)
            end = _HEAD.size + rows * row_bytes
            vectors_sum = zlib.crc32(view[_HEAD.size : end])
        trailer = _TRAILER.pack(
            _MAGIC,
            self._gallery.encode("ascii"),
            self.generation,
            self._index.ndim,
            rows,
            self._vectors.dtype.encode("ascii"),
            self._vectors.scale,
            vectors_sum,
        )
        file.write(trailer)
        # The checksum's own place.
        file.write(bytes(_CHECKSUM.size))
        file.flush()
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            checksum = _sum_of_graph(view, end)
        file.seek(-_CHECKSUM.size, os.SEEK_END)
        file.write(_CHECKSUM.pack(checksum))
        file.flush()

    def candidates(
        self, query: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return keys ``(n,) int64`` near a query ``(D,) float32``, and coarse scores, best first.

        The search keeps ``count`` candidates in view while it walks: the best few of many are
        better than as many of few.
        """
        encoded, factor = self._vectors.encode_query(query)
        found = self._index.search(encoded, count, threads=1)
        # USearch's distance is one minus the inner product.
        scores: NDArray[np.float32] = (1 - found.distances) / np.float32(factor)
        if self.dtype != "i8":
            # A damaged vector may hold anything; of integers any score is a number.
            scores[~np.isfinite(scores)] = -np.inf
        keys: NDArray[np.uint64] = found.keys
        return keys.view(np.int64), scores

    @property
    def dtype(self) -> GraphDtype:
        """How it holds its vectors."""
        return self._vectors.dtype

    def margin(self, query: NDArray[np.float32]) -> float:
        """Return by how much coarse scores for a query may be in the wrong order."""
        return self._vectors.margin(query)

    def is_sound(self) -> bool:
        """Return whether its vectors are as they were written; they are read once."""
        return self._vectors_sum is None or self._vectors_sum.read_all()

    def read_on(self) -> None:
        """Check a few more of its vectors."""
        if self._vectors_sum is not None:
            self._vectors_sum.read_on()

    @property
    def is_spoilt(self) -> bool:
        """Whether its vectors are known not to be as they were written."""
        return self._vectors_sum is not None and self._vectors_sum.sound is False

    def missing(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some keys ``(n,) int64`` that are not in the graph.

        Of a graph that was built here or read ``whole``.
        """
        absent: NDArray[np.int64] = keys[~self._index.contains(keys.astype(np.uint64))]
        return absent

    def __len__(self) -> int:
        return len(self._index)


def _sum_of_graph(view: memoryview, end: int) -> int:
    """Return the CRC-32 of a file without its vectors, which end at ``end``, and its last field."""
    return zlib.crc32(view[end : -_CHECKSUM.size], zlib.crc32(view[: _HEAD.size]))
