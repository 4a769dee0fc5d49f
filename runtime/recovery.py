"""Put right what an earlier process left half done, before the next one writes.

SQLite undoes half a transaction by itself when the database is opened, and a cache that is
damaged or old is refused and rebuilt when it is needed. What is left is said here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from boost_edge.runtime.gallery_model import MODEL_NAME
from boost_edge.runtime.replace import left_over
from boost_edge.runtime.search import GRAPH_NAME
from boost_edge.runtime.store import STORE_NAME, Store

__all__ = ["left_overs", "recover"]


def left_overs(folder: Path) -> list[Path]:
    """List the temporary files in a gallery that a killed process left."""
    names = (STORE_NAME, GRAPH_NAME, MODEL_NAME)
    return [file for name in names for file in left_over(folder / name)]


def recover(folder: Path, store: Store) -> None:
    """Clean up before writing; the caller holds the writer lock."""
    for file in left_overs(folder):
        with suppress(OSError):
            file.unlink()
    cache = folder / GRAPH_NAME
    if not cache.exists():
        return
    from boost_edge.runtime.hnsw import Hnsw

    # A database from a backup is older than the cache beside it. Once it has as many generations,
    # that cache would pass for one of its own, without the images that came since.
    label = Hnsw.label_of(cache)
    if label is not None and label.generation > store.generation():
        with suppress(OSError):
            cache.unlink()
