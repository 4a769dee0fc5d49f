"""Our own gallery as one of the engines: real rows, real labels, real hits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.search_data import DataPlan, Matrix, buckets_of
from boost_edge.runtime.encoder import Encoder
from boost_edge.runtime.exact_limit import exact_limit_for
from boost_edge.runtime.gallery import Gallery
from boost_edge.runtime.image_rows import Changes, ImageRow
from boost_edge.runtime.search import EXPANSION, GRAPH_NAME, Searcher
from boost_edge.runtime.store import STORE_NAME, Store

__all__ = ["Ours", "fill"]

_BLOCK = 10_000


def _limit_for(vectors: DataPlan) -> int:
    """Return the limit of exact search: a tiny bench goes through the graph all the same."""
    return min(exact_limit_for(vectors.dimensions), vectors.rows // 2)


class Ours:
    """A gallery. Its model is never run: any will do."""

    name = "ours"
    packages: tuple[str, ...] = ()
    files = "ours"

    def __init__(self, plan: DataPlan, model: Path) -> None:
        self._plan = plan
        self._model = model
        self._encoder: Encoder | None = None
        self._gallery: Gallery | None = None
        self._folder = Path()

    def build(self, vectors: Matrix, folder: Path, *, threads: int) -> dict[str, Any]:  # noqa: ARG002 - as all engines
        """Write the rows, those that an interrupted build left out, then the graph."""
        place = folder / self.files
        place.mkdir(exist_ok=True)
        with closing(Encoder.open(self._model, threads=1)) as encoder:
            if not (place / STORE_NAME).exists():
                Store.create(
                    place,
                    model_sha256=encoder.sha256,
                    model_path=str(encoder.path),
                    dimensions=vectors.shape[1],
                )
        started = time.perf_counter(), time.process_time()
        with closing(Store.open(place)) as store:
            first = store.count()
            fill(store, vectors, buckets_of(self._plan), first=first)
            filled = time.perf_counter(), time.process_time()
            limit = _limit_for(self._plan)
            Searcher(place / GRAPH_NAME, exact_limit=limit).prepare(store)
        done = time.perf_counter(), time.process_time()
        return {
            "threads": 1,
            "vectors": "i8, scored again as f32",
            "rows_seconds": filled[0] - started[0],
            "rows_cpu_seconds": filled[1] - started[1],
            "rows_already_there": first,
            "graph_seconds": done[0] - filled[0],
            "graph_cpu_seconds": done[1] - filled[1],
            "graph_bytes": (place / GRAPH_NAME).stat().st_size,
        }

    def open_model(self) -> Encoder:
        """Open the model, once."""
        self._encoder = self._encoder or Encoder.open(self._model, threads=1)
        return self._encoder

    def open(self, folder: Path) -> None:
        """Open the gallery."""
        self._folder = folder / self.files
        self.set_width(EXPANSION)

    def set_width(self, width: int) -> None:
        """Open the gallery anew."""
        if self._gallery is not None:
            self._gallery.close()
        # Not `Gallery.open`: these vectors are not as wide as the model's.
        self._gallery = Gallery(
            self._folder,
            Store.open(self._folder),
            self.open_model(),
            owns=False,
            exact_limit=_limit_for(self._plan),
            expansion=width,
        )

    def search(self, query: Matrix, k: int, *, where: str | None = None) -> NDArray[np.int64]:
        """Search as any caller does."""
        if self._gallery is None:
            raise ValueError("open the gallery first")
        hits = self._gallery.search(query, k=k, where=where)
        return np.array([hit.id - 1 for hit in hits], np.int64)

    def close(self) -> None:
        """Close the gallery and the model."""
        if self._gallery is not None:
            self._gallery.close()
        if self._encoder is not None:
            self._encoder.close()


def fill(
    store: Store, vectors: Matrix, labels: dict[str, NDArray[np.int64]], *, first: int = 0
) -> None:
    """Commit rows from number ``first`` on; the id of each is its number plus one."""
    for start in range(first, len(vectors), _BLOCK):
        some = np.array(vectors[start : start + _BLOCK])
        rows = _rows(start, len(some), labels)
        store.commit(Changes(encoded=list(zip(rows, some, strict=True))))


def _rows(start: int, count: int, labels: dict[str, NDArray[np.int64]]) -> Iterator[ImageRow]:
    for number in range(start, start + count):
        yield ImageRow(
            id=None,
            path=f"/photos/{number // 1000:05d}/{number:09d}.jpg",
            digest=f"{number:064x}",
            size=100_000 + number,
            mtime_ns=1_700_000_000_000_000_000 + number,
            width=640,
            height=480,
            predicted={},
            labels={name: str(values[number]) for name, values in labels.items()},
        )
