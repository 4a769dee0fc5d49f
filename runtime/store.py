"""``gallery.sqlite``: the truth about a gallery's images.

One row for each image: where it is, what the model says about it, what the user says about it; and
one row for each different content: what its bytes hash to, and its embedding, which all images of
these bytes share. ``vectors.usearch`` beside it can always be rebuilt.

Paths are stored as the bytes of the file system (``os.fsencode``), because a file name need not be
valid UTF-8; in Python they are ``str`` with surrogate escapes, which ``json`` can write.

``generation`` counts the commits that changed an embedding or a state; each row carries the
generation that last changed it. So a cache built at generation g is right for every row that is
not newer.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.binding import DEFAULT_GRAPH_DTYPE, GraphDtype, check_graph_dtype, new_meta
from boost_edge.runtime.commit import write_changes
from boost_edge.runtime.database import damaged, stamp_of, translating
from boost_edge.runtime.errors import GalleryError
from boost_edge.runtime.image_rows import (
    Changes,
    ImageRow,
    Shown,
    row_from_values,
    shown_from_values,
)
from boost_edge.runtime.schema import (
    HOLDERS,
    KEYED,
    OF_DIGEST,
    OF_THESE,
    OF_THESE_LIVE,
    SELECT,
    SHOWN,
    STORED_DIGESTS,
    VECTORS,
    WITH_KEYS,
)
from boost_edge.runtime.store_file import OpenDatabase, create_database, open_database

__all__ = ["STORE_NAME", "Store", "Vectors"]

STORE_NAME = "gallery.sqlite"

_CHUNK_ROWS = 4096
# As much as SQLite maps at most.
_MOST_MAPPED = 2**31 - 2**16
# No generation is newer: SQLite's largest integer.
_EVERY = 2**63 - 1
# Nothing is passed over because it is damaged: neither a state that is none, nor an id or a path
# of a type that sorts before all that ought to be there.
_BEFORE_ALL = -math.inf
_BY_ID = SELECT + "WHERE images.id > ? AND (state IS NOT 'deleted' OR ?) ORDER BY images.id LIMIT ?"
_BY_PATH = SELECT + "WHERE path > ? AND (state IS NOT 'deleted' OR ?) ORDER BY path LIMIT ?"

Vectors = tuple[NDArray[np.int64], NDArray[np.float32]]


class Store:
    """An open ``gallery.sqlite``; the caller sees to one writer and one thread at a time.

    ``path`` is the database, ``read_only`` whether nothing can be written through it.
    """

    def __init__(self, folder: Path, opened: OpenDatabase) -> None:
        self.path = folder / STORE_NAME
        self._database = opened.database
        self.binding = opened.binding
        self.read_only = opened.read_only
        self._stamp = opened.stamp

    @staticmethod
    def create(
        folder: Path,
        *,
        model_sha256: str,
        model_path: str,
        dimensions: int,
        graph_dtype: GraphDtype = DEFAULT_GRAPH_DTYPE,
    ) -> None:
        """Make an empty store in ``folder``; it appears whole or not at all.

        Raises
        ------
        GalleryError
            When it cannot be written.
        """
        meta = new_meta(
            model_sha256=model_sha256,
            model_path=model_path,
            dimensions=dimensions,
            graph_dtype=graph_dtype,
        )
        create_database(folder / STORE_NAME, meta)

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> Store:
        """Open the store in ``folder``, read-only where it cannot be written.

        Raises
        ------
        GalleryFormatError
            When it is of an older format; see ``gallery_folder.open_store``.
        GalleryCorruptError
            When it is damaged, not a gallery's, or of a format that this version cannot read.
        GalleryError
            When it can neither be written nor read as it is.
        """
        return cls(folder, open_database(folder / STORE_NAME, read_only=read_only))

    def close(self) -> None:
        """Close the database."""
        with translating(self.path):
            self._database.close()

    @contextmanager
    def snapshot(self) -> Generator[None, None, None]:
        """See one state of the gallery throughout, whatever another process commits meanwhile."""
        with translating(self.path):
            if self._database.in_transaction:
                yield
                return
            if self._stamp is not None and self._stamp != stamp_of(self.path):
                raise GalleryError(f"{self.path}: was written to meanwhile: open it again")
            self._database.execute("BEGIN")
            try:
                yield
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def generation(self) -> int:
        """Return the number of commits that changed an embedding or a state."""
        [[generation]] = self._query("SELECT value FROM meta WHERE key = 'generation'")
        return int(generation)

    def count(self, *, after: int = 0) -> int:
        """Return the number of live images whose embedding is newer than generation ``after``."""
        sql = "SELECT count(*) FROM images WHERE state = 'live' AND generation > ?"
        [[count]] = self._query(sql, (after,))
        return int(count)

    def count_changes(self, *, after: int) -> int:
        """Return the number of images, deleted ones too, that are newer than ``after``."""
        sql = "SELECT count(*) FROM images WHERE state IN ('live', 'deleted') AND generation > ?"
        [[count]] = self._query(sql, (after,))
        return int(count)

    def paths(self) -> list[str]:
        """Return the path of every image, in the order of the ids."""
        rows = self._query("SELECT path FROM images WHERE state = 'live' ORDER BY id")
        return [os.fsdecode(path) for (path,) in rows]

    def find(self, path: str) -> ImageRow | None:
        """Return the image at a path, live or deleted, if there is one."""
        rows = self._query(SELECT + "WHERE path = ?", (os.fsencode(path),))
        return self._row(rows[0]) if rows else None

    def find_each(self, paths: Sequence[str]) -> dict[str, ImageRow]:
        """Return the images at some paths, live or deleted, by path; a few hundred at most."""
        # A name may be written in two ways, of which a row gives one.
        names = {path: os.fsencode(path) for path in paths}
        sql = SELECT + f"WHERE path IN ({', '.join('?' * len(names))})"
        rows = map(self._row, self._query(sql, tuple(names.values())))
        found = {os.fsencode(row.path): row for row in rows}
        return {path: found[name] for path, name in names.items() if name in found}

    def page(
        self, after: ImageRow | None, *, by: Literal["id", "path"], limit: int, deleted: bool
    ) -> list[ImageRow]:
        """Return the next rows after one, in the order of their ids, or of their paths' bytes.

        The first rows come after None; ``deleted`` is whether to return deleted ones too.
        """
        start: object = _BEFORE_ALL
        if after is not None:
            start = after.id if by == "id" else os.fsencode(after.path)
        sql = _BY_ID if by == "id" else _BY_PATH
        return [self._row(row) for row in self._query(sql, (start, deleted, limit))]

    def with_digest(self, digest: str, *, limit: int = -1) -> list[ImageRow]:
        """Return the images of exactly these bytes, deleted too, oldest first; -1: no limit."""
        sql = SELECT + OF_DIGEST
        return [self._row(row) for row in self._query(sql, (digest, limit))]

    def stored_digests(self, digests: Iterable[str]) -> set[str]:
        """Return those of some digests for which there is an embedding."""
        return {digest for (digest,) in self._query(STORED_DIGESTS, (json.dumps([*digests]),))}

    def images(self, ids: Iterable[int]) -> dict[int, ImageRow]:
        """Return the live images with these ids; those that are gone are left out."""
        rows = self._query(SELECT + OF_THESE_LIVE, (_json_ids(ids),))
        return {row[0]: self._row(row) for row in rows}

    def shown(self, ids: Sequence[int]) -> dict[int, Shown]:
        """Return what a search shows of live images that were found within the same snapshot."""
        rows = self._query(SHOWN + OF_THESE_LIVE, (_json_ids(ids),))
        if len(rows) < len(ids):
            # Found through an index that the rows do not agree with.
            raise damaged(self.path, "an image that was found is gone")
        try:
            return {row[0]: shown_from_values(row) for row in rows}
        except ValueError as error:
            raise damaged(self.path, str(error)) from error

    def vectors(self, *, after: int = 0) -> Vectors:
        """Return ids ``(n,) int64`` and embeddings ``(n, D) float32`` newer than ``after``."""
        with self.snapshot():
            count = self.count(after=after)
            ids = np.empty(count, np.int64)
            matrix = np.empty((count, self.binding.dimensions), np.float32)
            start = 0
            for some_ids, some in self.vector_chunks(after=after):
                if start + len(some) > count:
                    break
                ids[start : start + len(some)] = some_ids
                matrix[start : start + len(some)] = some
                start += len(some)
            else:
                if start == count:
                    return ids, matrix
        # The index that counts and the table that is read are at odds.
        raise damaged(self.path, "its images cannot be counted")

    def vector_chunks(self, *, after: int = 0, upto: int = _EVERY) -> Iterator[Vectors]:
        """Yield ids and embeddings newer than ``after`` and not newer than ``upto``, in pieces.

        To be read within one `snapshot`.
        """
        sql = VECTORS + "WHERE state = 'live' AND generation BETWEEN ? AND ?"
        if not after:
            # Most rows are wanted anyway.
            sql = sql.replace("state", "+state").replace("generation", "+generation")
        return self._chunks(sql, (after + 1, upto))

    def keyed_chunks(self) -> Iterator[Vectors]:
        """Yield the keys ``(n,) int64`` and embeddings of all live images, in pieces.

        Images of equal bytes give one of them; equal embeddings of different bytes have the same
        key. To be read within one `snapshot`.
        """
        return self._chunks(KEYED)

    def holders(self, keys: Sequence[int], *, upto: int) -> list[tuple[int, int]]:
        """Return ids and keys of the live images with one of some keys.

        Images whose embedding is newer than generation ``upto`` are left out.
        """
        return self._query(HOLDERS, (_json_ids(keys), upto))

    def chunks_of(self, ids: Iterable[int]) -> Iterator[Vectors]:
        """Yield ids and embeddings of the live images with some ids, in pieces and any order.

        To be read within one `snapshot`.
        """
        return self._chunks(VECTORS + OF_THESE_LIVE, (_json_ids(ids),))

    def vectors_of(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings ``(n, D) float32`` of stored images, in the order of ``ids``."""
        found, matrix = self._unpack(self._query(VECTORS + OF_THESE, (_json_ids(ids),)))
        place = {identity: index for index, identity in enumerate(found.tolist())}
        if missing := set(ids) - place.keys():
            raise damaged(self.path, f"the row of image {min(missing)} is gone")
        return matrix[[place[identity] for identity in ids]]

    def vectors_with(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings ``(n, D) float32`` with some keys, in the order of ``keys``."""
        found, matrix = self._unpack(self._query(WITH_KEYS, (_json_ids(keys),)))
        place = {key: index for index, key in enumerate(found.tolist())}
        if set(keys) - place.keys():
            raise damaged(self.path, "an embedding that was found is gone")
        return matrix[[place[key] for key in keys]]

    def commit(self, changes: Changes) -> None:
        """Write changes in one transaction, all or nothing."""
        with translating(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                write_changes(self._database, changes)
                self._database.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite has done so already.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def remember_model(self, path: str) -> None:
        """Note where the model is now."""
        sql = "UPDATE meta SET value = ? WHERE key = 'model_path' AND value <> ?"
        with translating(self.path):
            self._database.execute(sql, (os.fsencode(path), os.fsencode(path)))

    def set_graph_dtype(self, dtype: GraphDtype) -> None:
        """Say how a search graph that is built from now on is to hold its vectors."""
        check_graph_dtype(dtype)
        sql = "UPDATE meta SET value = ? WHERE key = 'graph_dtype' AND value <> ?"
        with translating(self.path):
            self._database.execute(sql, (dtype, dtype))
        self.binding = replace(self.binding, graph_dtype=dtype)

    def map_into_memory(self) -> None:
        """Read the file through a map of it from now on, as a graph's is: few rows cost less.

        A disk that fails, or a file that somebody else cuts short, then ends the process with a
        signal (sqlite.org/mmap.html).
        """
        self._query(f"PRAGMA mmap_size = {_MOST_MAPPED:d}")

    def select(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        """Return the rows that a SELECT of constant text gives for its parameters."""
        return self._query(sql, values)

    def _chunks(self, sql: str, values: tuple[object, ...] = ()) -> Iterator[Vectors]:
        with translating(self.path), closing(self._database.execute(sql, values)) as cursor:
            while rows := cursor.fetchmany(_CHUNK_ROWS):
                yield self._unpack(rows)

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        with translating(self.path):
            return self._database.execute(sql, values).fetchall()

    def _row(self, row: Sequence[Any]) -> ImageRow:
        try:
            return row_from_values(row)
        except ValueError as error:
            raise damaged(self.path, str(error)) from error

    def _unpack(self, rows: Sequence[Any]) -> Vectors:
        width = self.binding.dimensions
        if any(not isinstance(row[1], bytes) or len(row[1]) != 4 * width for row in rows):
            raise damaged(self.path, "an embedding has the wrong length")
        data = b"".join(row[1] for row in rows)
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return ids, np.frombuffer(data, "<f4").reshape(len(rows), width)


def _json_ids(ids: Iterable[int]) -> str:
    return json.dumps([int(each) for each in ids])
