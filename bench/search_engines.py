"""The libraries that a search is compared with: bare USearch, hnswlib, faiss.

All build the same kind of graph: 16 links to a vector (32 on the ground level), 128 candidates in
view while building. Rows are known by their number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.search_data import Matrix

__all__ = ["LINKS", "VIEW", "Engine", "Faiss", "Hnswlib", "Usearch"]

LINKS = 16
VIEW = 128

_BLOCK = 20_000


class Engine(Protocol):
    """A way to search; ``packages`` are what it needs beyond the runtime."""

    name: str
    packages: tuple[str, ...]
    files: str
    """The name of its file or folder in the work folder."""

    def build(self, vectors: Matrix, folder: Path, *, threads: int) -> dict[str, Any]:
        """Write the index; return what there is to say about it."""
        ...

    def open(self, folder: Path) -> None:
        """Open what was built, to search with one thread."""
        ...

    def set_width(self, width: int) -> None:
        """Keep so many candidates in view from now on."""
        ...

    def search(self, query: Matrix, k: int) -> NDArray[np.int64]:
        """Return the numbers of about the ``k`` nearest rows."""
        ...


class Usearch:
    """Bare USearch, its vectors as float32 or float16, mapped into memory."""

    packages: tuple[str, ...] = ()

    def __init__(self, dtype: str) -> None:
        self.name = f"usearch-{dtype}"
        self.files = f"{self.name}.index"
        self._dtype = dtype
        self._index: Any = None

    def build(self, vectors: Matrix, folder: Path, *, threads: int) -> dict[str, Any]:
        """Write the index."""
        index = self._new(vectors.shape[1])
        for start in range(0, len(vectors), _BLOCK):
            some = np.ascontiguousarray(vectors[start : start + _BLOCK])
            index.add(np.arange(start, start + len(some), dtype=np.uint64), some, threads=threads)
        index.save(str(folder / self.files))
        return {"threads": threads, "vectors": self._dtype}

    def open(self, folder: Path) -> None:
        """Map the file into memory."""
        from usearch.index import Index

        self._index = Index.restore(str(folder / self.files), view=True)

    def set_width(self, width: int) -> None:
        """Set the expansion."""
        self._index.expansion_search = width

    def search(self, query: Matrix, k: int) -> NDArray[np.int64]:
        """Search with one thread."""
        keys: NDArray[np.uint64] = self._index.search(query, k, threads=1).keys
        return keys.astype(np.int64)

    def _new(self, dimensions: int) -> Any:
        # USearch crashes a process that loads it before onnxruntime.
        import onnxruntime  # noqa: F401 # pyright: ignore[reportUnusedImport] - loaded only
        from usearch.index import Index

        return Index(
            ndim=dimensions,
            metric="ip",
            dtype=self._dtype,
            connectivity=LINKS,
            expansion_add=VIEW,
        )


class Hnswlib:
    """hnswlib, read into memory."""

    name = "hnswlib"
    packages: tuple[str, ...] = ("hnswlib",)
    files = "hnswlib.index"

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._index: Any = None

    def build(self, vectors: Matrix, folder: Path, *, threads: int) -> dict[str, Any]:
        """Write the index."""
        index = self._new()
        index.init_index(max_elements=len(vectors), ef_construction=VIEW, M=LINKS, random_seed=0)
        for start in range(0, len(vectors), _BLOCK):
            some = np.ascontiguousarray(vectors[start : start + _BLOCK])
            index.add_items(some, np.arange(start, start + len(some)), num_threads=threads)
        index.save_index(str(folder / self.files))
        return {"threads": threads, "vectors": "f32"}

    def open(self, folder: Path) -> None:
        """Read the file into memory."""
        self._index = self._new()
        self._index.load_index(str(folder / self.files))
        self._index.set_num_threads(1)

    def set_width(self, width: int) -> None:
        """Set ef."""
        self._index.set_ef(width)

    def search(self, query: Matrix, k: int) -> NDArray[np.int64]:
        """Search with one thread."""
        labels, _ = self._index.knn_query(query, k, num_threads=1)
        return np.asarray(labels[0], np.int64)

    def _new(self) -> Any:
        import hnswlib

        return hnswlib.Index(space="ip", dim=self._dimensions)


class Faiss:
    """faiss's HNSW over flat vectors, read into memory."""

    name = "faiss"
    packages: tuple[str, ...] = ("faiss",)
    files = "faiss.index"

    def __init__(self) -> None:
        self._index: Any = None

    def build(self, vectors: Matrix, folder: Path, *, threads: int) -> dict[str, Any]:
        """Write the index."""
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = VIEW
        # In one piece: its levels are drawn and its threads set up at each call.
        index.add(np.ascontiguousarray(vectors))
        faiss.write_index(index, str(folder / self.files))
        return {"threads": threads, "vectors": "f32"}

    def open(self, folder: Path) -> None:
        """Read the file into memory."""
        import faiss

        faiss.omp_set_num_threads(1)
        self._index = faiss.read_index(str(folder / self.files))

    def set_width(self, width: int) -> None:
        """Set efSearch."""
        self._index.hnsw.efSearch = width

    def search(self, query: Matrix, k: int) -> NDArray[np.int64]:
        """Search with one thread."""
        _, labels = self._index.search(query[None], k)
        return np.asarray(labels[0], np.int64)
