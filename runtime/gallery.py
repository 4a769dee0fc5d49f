"""A gallery: a folder of indexed images that can be searched by example.

What only indexing, facets or statistics need is imported when they are asked for: a command that
answers one query spends most of its time on imports (docs/performance.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Encoder, ImageLike
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.exact_limit import exact_limit_for
from boost_edge.runtime.examples import UNLIKE_WEIGHT, ExampleLike
from boost_edge.runtime.gallery_folder import bind, writing
from boost_edge.runtime.hits import Hit, QueryResult
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.querying import Querier
from boost_edge.runtime.search import EXPANSION, GRAPH_NAME, Searcher
from boost_edge.runtime.store import Store
from boost_edge.runtime.writer_lock import read_only_error

if TYPE_CHECKING:
    from boost_edge.runtime.facets import Facets
    from boost_edge.runtime.gallery_facts import GalleryStats
    from boost_edge.runtime.index_report import IndexReport, Skipped

__all__ = ["Gallery"]

# As ``facets.MOST_VALUES``.
_MOST_VALUES = 1000


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
        progress: Progress = silent,
    ) -> None:
        self._folder = folder
        self._store = store
        self._encoder = encoder
        self._owns_encoder = owns
        self._exact_limit = exact_limit
        self._searcher = Searcher(
            folder / GRAPH_NAME, exact_limit=exact_limit, expansion=expansion, progress=progress
        )
        # One database connection: threads take turns.
        self._turn = threading.RLock()
        self._querier = Querier(store, encoder, self._searcher, self._turn)
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder | None = None,
        *,
        create: bool = True,
        threads: int | None = None,
        images: int | None = None,
        exact_limit: int | None = None,
        expansion: int = EXPANSION,
        read_only: bool = False,
        progress: Progress = silent,
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
        threads, images
            For a model that the gallery opens itself; see ``Encoder.open``.
        exact_limit
            Above so many images search goes through a graph; default: see `exact_limit_for`.
        expansion
            How many candidates a search through the graph keeps in view: more find more, and take
            longer.
        read_only
            Whether to write nothing: no gallery is made, brought up to date or indexed into. A
            gallery that cannot be written, as on a read-only disk, is opened so by itself.
        progress
            Called with (stage, done, total) while a search cache is built, as by `index` or by the
            first `query` of a large gallery that has none.

        Raises
        ------
        UsageError
            When there is no gallery and none may be made, or the path is something else.
        GalleryCorruptError
            When the gallery is damaged, or belongs to another model.
        GalleryError
            When the gallery's model is gone, the folder for a new one cannot be written to, or the
            gallery is of an older format and cannot be brought up to date.
        """
        own = partial(Encoder.open, threads=threads, images=images)
        store, bound = bind(Path(path), encoder, own, create=create, read_only=read_only)
        return cls(
            Path(path).absolute(),
            store,
            bound,
            owns=encoder is None,
            exact_limit=exact_limit_for(store.binding.dimensions, exact_limit),
            expansion=expansion,
            progress=progress,
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

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written: opened so, or on a disk that cannot be written."""
        return self._store.read_only

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
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        hidden: bool = False,
        only: Iterable[str | os.PathLike[str]] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> IndexReport:
        """Bring the gallery up to date with the images under some paths.

        Files whose size and time of change are as before are not read, files whose bytes are as
        before are not encoded, and equal files are encoded once. What is interrupted keeps what it
        did; indexing again continues. Images under other paths stay as they are.

        Parameters
        ----------
        paths
            Images, and folders that are searched for images. With ``prune`` one that is gone may
            be named too, if the gallery has images at or below it.
        labels
            What the user says about images: path -> attribute -> value. They replace all labels
            that those images had; other images keep theirs, wherever their files were moved.
        progress
            Called in this thread with the number of images done and of all, which are counted
            first.
        prune
            Whether to delete the images below the given folders whose files are gone. They come
            back when their file does, until ``compact_gallery`` removes them for good.
        dry_run
            Whether to write nothing and report what would be done.
        include, exclude, hidden
            Which of the images below the given folders are looked at; see ``Selection``.
        only
            Of all that, look only at these files and folders, whether they are there or gone:
            what has changed, for a caller who knows.
        on_skipped
            Called in this thread with each file that cannot be read, at once.

        Returns
        -------
        IndexReport
            What was added, changed, renamed, pruned and left, and what was skipped and why: exact
            counts, and the first 1,000 of each kind.

        Raises
        ------
        UsageError
            When a path does not exist, labels are no text, or the gallery is closed.
        GalleryLockedError
            When another process is indexing into this gallery.
        GalleryError
            When the gallery is open read-only, or the disk is full or fails.
        """
        if isinstance(paths, str | bytes | os.PathLike):
            raise UsageError("paths must be a list: to index one path, give [path]")
        self._check_open()
        from boost_edge.runtime.indexing import IndexOptions, index_images
        from boost_edge.runtime.selection import Selection

        options = IndexOptions(
            labels=labels or {},
            progress=progress,
            prune=prune,
            selection=Selection(include=include, exclude=exclude, hidden=hidden),
            only=None if only is None else tuple(only),
            on_skipped=on_skipped,
        )
        if self._store.read_only and not dry_run:
            raise read_only_error(self._folder)
        # On connections of its own, so that searches go on meanwhile.
        if dry_run:
            with closing(Store.open(self._folder, read_only=True)) as store:
                return index_images(store, self._encoder, paths, options, writer=None)
        with writing(self._folder) as writer, closing(Store.open(self._folder)) as store:
            store.remember_model(os.fspath(self._encoder.path))
            report = index_images(store, self._encoder, paths, options, writer=writer)
            self._searcher.prepare(store)
        return report

    def query(
        self,
        image: ImageLike,
        *,
        k: int = 10,
        min_score: float | None = None,
        where: str | None = None,
        prefer: Iterable[str] = (),
    ) -> QueryResult:
        """Find the ``k`` images most like one image.

        Parameters
        ----------
        image
            A path, or a ``(H, W, 3) uint8`` RGB array; it need not be in the gallery.
        k
            How many hits to return at most, at least 1.
        min_score
            Images below this cosine are left out.
        where
            Only images that pass this filter are hits, as in ``"gender = Women and p(type) > 0.8"``
            (docs/filters.md).
        prefer
            Values that lift an image among the hits, as in ``["colour = Red:0.3"]``
            (docs/queries.md).

        Raises
        ------
        ImageError
            When the image cannot be read.
        UsageError
            When an argument makes no sense, or the gallery is closed.
        GalleryCorruptError
            When the gallery turns out to be damaged.
        """
        self._check_open()
        request = self._querier.request(k, min_score, where, prefer)
        return self._querier.by_image(image, request)

    def query_examples(
        self,
        like: Sequence[ExampleLike],
        unlike: Sequence[ExampleLike] = (),
        *,
        unlike_weight: float = UNLIKE_WEIGHT,
        k: int = 10,
        min_score: float | None = None,
        where: str | None = None,
        prefer: Iterable[str] = (),
    ) -> QueryResult:
        """Find the ``k`` images most like some examples together, and unlike others.

        The query is ``mean(like) - unlike_weight * mean(unlike)``, normalised (Rocchio's method;
        ``examples`` says where the default weight is from). Examples are not left out of the hits.

        Parameters
        ----------
        like, unlike
            Images as for `query`, and ids of images of the gallery (``int``, as ``Hit.id``), whose
            stored embeddings are taken; at least one to be like.
        unlike_weight
            At least 0.
        k, min_score, where, prefer
            As for `query`.

        Raises
        ------
        UsageError
            As for `query`, and when the examples cancel each other out.
        ImageError
            When an example cannot be read.
        """
        self._check_open()
        request = self._querier.request(k, min_score, where, prefer)
        return self._querier.by_examples(like, unlike, unlike_weight, request)

    def search(
        self,
        vector: NDArray[np.float32],
        *,
        k: int = 10,
        min_score: float | None = None,
        where: str | None = None,
        prefer: Iterable[str] = (),
    ) -> tuple[Hit, ...]:
        """Find the ``k`` images whose embeddings are nearest to a vector ``(D,) float32``.

        The vector need not have norm 1. No attribute is known of it, so no hit ``agrees``.

        Raises
        ------
        UsageError
            When the vector has another shape or is not finite, another argument makes no sense, or
            the gallery is closed.
        """
        self._check_open()
        return self._querier.by_vector(vector, self._querier.request(k, min_score, where, prefer))

    def facets(
        self,
        *,
        where: str | None = None,
        attributes: Sequence[str] | None = None,
        limit: int = _MOST_VALUES,
    ) -> Facets:
        """Count the values of attributes: the user's label where there is one, else the predicted.

        Parameters
        ----------
        where
            Only images that pass this filter are counted (docs/filters.md).
        attributes
            What to count; by default all that the model predicts, then all that users gave.
        limit
            How many values of an attribute to list, the most frequent; at least 1.

        Raises
        ------
        UsageError
            When there is no such attribute, an argument makes no sense, or the gallery is closed.
        """
        self._check_open()
        return self._querier.facets(where, attributes, limit)

    def paths(self) -> list[str]:
        """Return the absolute path of every image, in the order in which they came."""
        with self._turn:
            return self._store.paths()

    def stats(self) -> GalleryStats:
        """Return what there is to know about the gallery at a glance."""
        from boost_edge.runtime.gallery_facts import GalleryStats

        with self._turn:
            return GalleryStats.of(self._folder, self._store, exact_limit=self._exact_limit)

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
