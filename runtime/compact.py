"""``compact``: remove for good what was deleted, and give the space back."""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from boost_edge.runtime.binding import GraphDtype, check_graph_dtype
from boost_edge.runtime.database import connect, translating
from boost_edge.runtime.errors import GalleryError
from boost_edge.runtime.exact_limit import exact_limit_for
from boost_edge.runtime.gallery_facts import bytes_on_disk
from boost_edge.runtime.gallery_folder import require_gallery, writing
from boost_edge.runtime.graph_building import build_graph
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.recovery import left_overs
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME, Store

__all__ = ["CompactReport", "compact_gallery"]

# How long a reader that is searching may keep the log from being emptied, in milliseconds.
_READER_MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactReport:
    """What compacting did.

    ``removed`` counts deleted images, ``left_overs`` temporary files. ``cached`` is the number of
    different embeddings in the new cache, None where the gallery is small enough to need none.
    ``bytes_before`` and ``bytes_after`` are the sizes of all files, ``seconds`` the time it took.
    """

    path: Path
    images: int
    removed: int
    left_overs: int
    cached: int | None
    bytes_before: int
    bytes_after: int
    seconds: float


def compact_gallery(
    path: str | os.PathLike[str],
    *,
    vectors: GraphDtype | None = None,
    exact_limit: int | None = None,
    progress: Progress = silent,
) -> CompactReport:
    """Remove deleted images for good, give back their space, and build the cache again.

    A gallery of an older format is brought up to date first.

    Searching goes on meanwhile. Needs free space for one more copy of the database, or two.

    Parameters
    ----------
    path
        The gallery's folder. Its model is not needed.
    vectors
        How the cache is to hold its vectors from now on; by default as before. Scores are computed
        from the database, whatever this is.
    exact_limit, progress
        See ``Gallery.open``.

    Raises
    ------
    UsageError
        When there is no gallery, or ``vectors`` is none of f32, f16, i8.
    GalleryLockedError
        When another process is writing to it.
    GalleryCorruptError
        When it is damaged.
    GalleryError
        When it or its cache cannot be written, as on a full disk; then it answers as before.
    """
    started = time.perf_counter()
    if vectors is not None:
        check_graph_dtype(vectors)
    folder = Path(path)
    require_gallery(folder)
    before, killed = bytes_on_disk(folder), len(left_overs(folder))
    with writing(folder) as store:
        removed = _reclaim(folder / STORE_NAME)
        cached = _cache_again(folder / GRAPH_NAME, store, vectors, exact_limit, progress)
        # Last: what says how the next cache is built must not be ahead of the one there is.
        if vectors is not None:
            store.set_graph_dtype(vectors)
        images = store.count()
    return CompactReport(
        path=folder.absolute(),
        images=images,
        removed=removed,
        left_overs=killed,
        cached=cached,
        bytes_before=before,
        bytes_after=bytes_on_disk(folder),
        seconds=time.perf_counter() - started,
    )


def _reclaim(path: Path) -> int:
    """Remove the deleted rows and the space they took; return their number."""
    with translating(path), closing(connect(path, mode="rw")) as database:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        removed = database.execute("DELETE FROM images WHERE state = 'deleted'").rowcount
        # The triggers leave none, but another program may have.
        database.execute("DELETE FROM embeddings WHERE id NOT IN (SELECT embedding FROM images)")
        database.execute("COMMIT")
        database.execute("VACUUM")
        # The log holds a whole copy now. A reader may keep it from being emptied: the next
        # process that closes the gallery as the last one does so.
        database.execute(f"PRAGMA busy_timeout = {_READER_MS:d}")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return removed


def _cache_again(
    cache: Path, store: Store, dtype: GraphDtype | None, exact_limit: int | None, progress: Progress
) -> int | None:
    if store.count() <= exact_limit_for(store.binding.dimensions, exact_limit):
        with suppress(FileNotFoundError):
            cache.unlink()
        return None
    with store.snapshot():
        graph = build_graph(store, dtype=dtype, progress=progress)
    if not graph.save(cache):
        raise GalleryError(
            f"{cache}: the search cache cannot be written, and is as it was: check the disk's "
            "space and permissions, then compact again"
        )
    return len(graph)
