"""Read all rows of a gallery with their embeddings, in order, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from boost_edge.runtime.exchange import BATCH_ROWS, Batch
from boost_edge.runtime.image_rows import ImageRow
from boost_edge.runtime.store import Store

__all__ = ["batches_of", "count_rows", "pages_of"]


def count_rows(store: Store, *, deleted: bool) -> int:
    """Return the number of live rows, or of all."""
    [[count]] = store.select("SELECT count(*) FROM images WHERE state = 'live' OR ?", (deleted,))
    return int(count)


def pages_of(
    store: Store, *, by: Literal["id", "path"], deleted: bool = False
) -> Iterator[list[ImageRow]]:
    """Yield all rows without their embeddings, in pieces; to be read within one `snapshot`."""
    last: ImageRow | None = None
    while rows := store.page(last, by=by, limit=BATCH_ROWS, deleted=deleted):
        yield rows
        last = rows[-1]


def batches_of(
    store: Store, *, by: Literal["id", "path"], deleted: bool = False
) -> Iterator[Batch]:
    """Yield all rows with their embeddings, in pieces; to be read within one `snapshot`."""
    for rows in pages_of(store, by=by, deleted=deleted):
        vectors = store.vectors_of([cast("int", row.id) for row in rows])
        yield list(zip(rows, vectors, strict=True))
