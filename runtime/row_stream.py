"""Read all rows of a gallery with their embeddings, in order, a batch at a time, and all sound.

What leaves a gallery gets new checksums where it goes, so damage that got through here could never
be found again.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Literal

import numpy as np

from boost_edge.runtime.database import damaged
from boost_edge.runtime.errors import GalleryCorruptError
from boost_edge.runtime.exchange import BATCH_ROWS, Batch
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.schema import OF_THESE, STORED
from boost_edge.runtime.sound_rows import (
    VECTOR_FLAWS,
    flaw_of_row,
    flaws_of_pages,
    flaws_of_vectors,
)
from boost_edge.runtime.store import Store

__all__ = ["batches_of", "check_pages", "count_rows", "pages_of"]

# Of the table itself: an index may be at odds with it.
_COUNT = "SELECT count(*) FROM images NOT INDEXED WHERE state IS NOT 'deleted' OR ?"


def check_pages(store: Store) -> None:
    """Raise GalleryCorruptError where SQLite finds its pages, records or indexes damaged."""
    for message in flaws_of_pages(store.select):
        raise damaged(store.path, message)


def count_rows(store: Store, *, deleted: bool) -> int:
    """Return the number of live rows, or of all."""
    [[count]] = store.select(_COUNT, (deleted,))
    return int(count)


def pages_of(
    store: Store, *, by: Literal["id", "path"], deleted: bool = False
) -> Iterator[list[ImageRow]]:
    """Yield all rows without their embeddings, in pieces; to be read within one `snapshot`.

    Raises
    ------
    GalleryCorruptError
        When a row cannot be read, or not every row was met.
    """
    last: ImageRow | None = None
    done = 0
    while rows := store.page(last, by=by, limit=BATCH_ROWS, deleted=deleted):
        yield rows
        last = rows[-1]
        done += len(rows)
    if done != (count := count_rows(store, deleted=deleted)):
        raise damaged(store.path, f"{done} of {count} images can be read")


def batches_of(
    store: Store, *, by: Literal["id", "path"], deleted: bool = False
) -> Iterator[Batch]:
    """Yield all rows with their embeddings, in pieces; to be read within one `snapshot`.

    Raises
    ------
    GalleryCorruptError
        When a row or its embedding is not sound; the message names the gallery and the image.
    """
    for rows in pages_of(store, by=by, deleted=deleted):
        yield _with_vectors(store, rows)


def _with_vectors(store: Store, rows: list[ImageRow]) -> Batch:
    width = store.binding.dimensions
    ids = json.dumps([row.id for row in rows])
    stored = {identity: pair for identity, *pair in store.select(STORED + OF_THESE, (ids,))}
    pairs = [tuple(stored.get(row.id, (None, None))) for row in rows]
    for row, codes in zip(rows, flaws_of_vectors(pairs, width), strict=True):
        if flaw := flaw_of_row(row) or "".join(VECTOR_FLAWS[code] for code in codes[:1]):
            folder = store.path.parent
            raise GalleryCorruptError(
                f"{folder}: the image {row.path} is damaged ({flaw}): see what "
                f"boost-edge verify {shlex.quote(str(folder))} says"
            )
    data = b"".join(vector for vector, _ in pairs)
    matrix = np.frombuffer(data, "<f4").reshape(len(rows), width)
    return list(zip(rows, matrix, strict=True))
