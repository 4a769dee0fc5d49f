"""A gallery: a folder of indexed images that can be searched by example."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, ImageLike, Prediction
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.filtering import Filters
from boost_edge.runtime.gallery_folder import GalleryStats, bind, gallery_stats
from boost_edge.runtime.hits import Hit, QueryResult, make_hits
from boost_edge.runtime.index_report import IndexReport, Skipped
from boost_edge.runtime.indexing import index_images
from boost_edge.runtime.recovery import recover
from boost_edge.runtime.search import EXACT_LIMIT, EXPANSION, GRAPH_NAME, Searcher
from boost_edge.runtime.store import Store
from boost_edge.runtime.where import Where
from boost_edge.runtime.writer_lock import writer_lock

__all__ = [
    "Gallery",
    "GalleryStats",
    "Hit",
    "IndexReport",
    "QueryResult",
    "Skipped",
    "gallery_stats",
]


class Gallery:
    """An open gallery; a context manager. Use `Gallery.open`.

    Any number of processes may search while one indexes. Calls from several threads are safe.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        encoder: Encoder,
        *,
        owns: bool,
        exact_limit: int,
        expansion: int = EXPANSION,
    ) -> None:
        self._folder = folder
        self._store = store
        self._encoder = encoder
        self._owns_encoder = owns
        self._searcher = Searcher(folder / GRAPH_NAME, exact_limit=exact_limit, expansion=expansion)
        self._filters = Filters([each.name for each in encoder.manifest.attributes])
        # One database connection: threads take turns.
        self._turn = threading.RLock()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder | None = None,
        *,
        create: bool = True,
        threads: int | None = None,
        exact_limit: int = EXACT_LIMIT,
        expansion: int = EXPANSION,
    ) -> Gallery:
        """Open a gallery, or make a new one.

        Parameters
        ----------
        path
            The gallery's folder.
        encoder
            The model to use; it must be the one that the gallery was made with, and stays open
            when the gallery closes. Without it the gallery opens the model where it last was.
        create
            Whether to make a gallery where there is none, which needs an encoder.
        threads
            Threads for a model that the gallery opens itself; see ``Encoder.open``.
        exact_limit
            Up to so many images search is exact; above it goes through an HNSW graph.
        expansion
            How many candidates a search through the graph keeps in view: more find more, and take
            longer.

        Raises
        ------
        UsageError
            When there is no gallery and none may be made, or the path is something else.
        GalleryCorruptError
            When the gallery is damaged, or belongs to another model.
        GalleryError
            When the gallery's model is gone, or the folder cannot be written to.
        """
        store, bound = bind(Path(path), encoder, create=create, threads=threads)
        return cls(
            Path(path).absolute(),
            store,
            bound,
            owns=encoder is None,
            exact_limit=exact_limit,
            expansion=expansion,
        )

    @property
    def path(self) -> Path:
        """The gallery's folder, absolute."""
        return self._folder

    @property
    def encoder(self) -> Encoder:
        """The encoder that the gallery indexes and searches with."""
        return self._encoder

    @property
    def model_sha256(self) -> str:
        """The sha256 of the model that the gallery belongs to, in hexadecimal."""
        return self._store.binding.model_sha256

    def __len__(self) -> int:
        """Return the number of images."""
        with self._turn:
            return self._store.count()

    def index(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        labels: Mapping[str, Mapping[str, str]] | None = None,
        progress: Callable[[int, int], None] | None = None,
        prune: bool = False,
        dry_run: bool = False,
    ) -> IndexReport:
        """Bring the gallery up to date with the images under some paths.

        Files whose size and time of change are as before are not read, files whose bytes are as
        before are not encoded, and equal files are encoded once. What is interrupted keeps what it
        did; indexing again continues. Images under other paths stay as they are.

        Parameters
        ----------
        paths
            Images, and folders that are searched for images.
        labels
            What the user says about images: path -> attribute -> value. They replace the labels
            that those images had; other images keep theirs.
        progress
            Called in this thread with the number of images done and of all.
        prune
            Whether to delete the images below the given folders whose files are gone. They come
            back when their file does, until ``compact_gallery`` removes them for good.
        dry_run
            Whether to write nothing and report what would be done.

        Returns
        -------
        IndexReport
            What was added, changed, renamed, pruned and left, and what was skipped and why.

        Raises
        ------
        UsageError
            When a path does not exist, or the gallery is closed.
        GalleryLockedError
            When another process is indexing into this gallery.
        GalleryError
            When the disk is full or fails.
        """
        if isinstance(paths, str | bytes | os.PathLike):
            raise UsageError("paths must be a list: to index one path, give [path]")
        self._check_open()
        index = partial(
            index_images, labels=labels, progress=progress, prune=prune, dry_run=dry_run
        )
        # On a connection of its own, so that searches go on meanwhile.
        if dry_run:
            with closing(Store.open(self._folder)) as store:
                return index(store, self._encoder, paths)
        with writer_lock(self._folder), closing(Store.open(self._folder)) as store:
            recover(self._folder, store)
            store.remember_model(os.fspath(self._encoder.path))
            report = index(store, self._encoder, paths)
            self._searcher.prepare(store)
        return report

    def query(
        self,
        image: ImageLike,
        *,
        k: int = 10,
        min_score: float | None = None,
        where: str | None = None,
    ) -> QueryResult:
        """Find the ``k`` images most like one image.

        Parameters
        ----------
        image
            A path, or a ``(H, W, 3) uint8`` RGB array; it need not be in the gallery.
        k
            How many hits to return at most, at least 1.
        min_score
            Hits below this cosine are left out.
        where
            Only images that pass this filter are hits, as in ``"gender = Women and p(type) > 0.8"``
            (docs/filters.md).

        Raises
        ------
        ImageError
            When the image cannot be read.
        UsageError
            When an argument makes no sense, or the gallery is closed.
        GalleryCorruptError
            When the gallery turns out to be damaged.
        """
        passing = self._prepare(k, where)
        started = time.perf_counter()
        pixels = self._encoder.load(image)
        decoded = time.perf_counter()
        encoding = self._encoder.run(pixels[None])
        predicted: dict[str, Prediction] = {}
        if encoding.attributes is not None:
            predicted = self._encoder.describe(encoding.attributes[0])
        encoded = time.perf_counter()
        hits = self._find(encoding.embeddings[0], k, min_score, predicted, passing)
        took = (decoded - started, encoded - decoded, time.perf_counter() - encoded)
        return QueryResult(
            query=os.fspath(image) if isinstance(image, str | os.PathLike) else "<array>",
            model=self.model_sha256,
            took_ms={
                step: seconds * 1e3
                for step, seconds in zip(("decode", "encode", "search"), took, strict=True)
            },
            attributes=predicted,
            hits=hits,
        )

    def search(
        self,
        vector: NDArray[np.float32],
        *,
        k: int = 10,
        min_score: float | None = None,
        where: str | None = None,
    ) -> tuple[Hit, ...]:
        """Find the ``k`` images whose embeddings are nearest to a vector ``(D,) float32``.

        The vector need not have norm 1. No attribute is known of it, so no hit ``agrees``.

        Raises
        ------
        UsageError
            When the vector has another shape or is not finite, ``k`` is less than 1, ``where``
            is no filter, or the gallery is closed.
        """
        passing = self._prepare(k, where)
        query = np.asarray(vector, np.float32)
        dimensions = self._store.binding.dimensions
        if query.shape != (dimensions,) or not np.isfinite(query).all():
            raise UsageError(f"a query vector must be ({dimensions},) and finite")
        return self._find(query, k, min_score, {}, passing)

    def paths(self) -> list[str]:
        """Return the absolute path of every image, in the order in which they came."""
        with self._turn:
            return self._store.paths()

    def stats(self) -> GalleryStats:
        """Return what there is to know about the gallery at a glance."""
        with self._turn:
            return GalleryStats.of(self._folder, self._store)

    def close(self) -> None:
        """Close the gallery, and its model if it opened that itself."""
        with self._turn:
            self._closed = True
            self._searcher.close()
            self._store.close()
        if self._owns_encoder:
            self._encoder.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Gallery.open({os.fspath(self._folder)!r})"

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(f"{self._folder}: the gallery is closed: open it again")

    def _prepare(self, k: int, where: str | None) -> Where | None:
        """Check the arguments of a search; read its filter."""
        self._check_open()
        if k < 1:
            raise UsageError(f"k is {k}, but must be at least 1")
        if where is None:
            return None
        with self._turn, self._store.snapshot():
            return self._filters.read(self._store, where)

    def _find(
        self,
        vector: NDArray[np.float32],
        k: int,
        min_score: float | None,
        predicted: Mapping[str, Prediction],
        where: Where | None,
    ) -> tuple[Hit, ...]:
        length = np.float32(np.linalg.norm(vector))
        query = vector / length if length > 0 else vector
        with self._turn, self._store.snapshot():
            among = None if where is None else self._filters.ids(self._store, where)
            ids, scores = self._searcher.find(self._store, query, k, among=among)
            rows = self._store.images(ids.tolist())
        if min_score is not None:
            ids, scores = ids[scores >= min_score], scores[scores >= min_score]
        return make_hits((ids, scores), rows, predicted)
