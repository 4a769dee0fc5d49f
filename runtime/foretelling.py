"""What a dry run must remember of the run that it foretells."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from typing import cast

from boost_edge.runtime.image_rows import ImageRow

__all__ = ["Foretold"]

_PLACE = """
INSERT INTO rows VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET path = excluded.path, digest = excluded.digest
"""


class Foretold:
    """Which contents would be encoded, and where rows would be: all of them, in bounded memory.

    They are held by a private database without a name, which SQLite keeps in memory while it is
    small, and in a temporary file that nobody sees otherwise (sqlite.org/inmemorydb.html).
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE contents (digest TEXT PRIMARY KEY, path BLOB NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE rows (id INTEGER PRIMARY KEY, stored BLOB NOT NULL, path BLOB NOT NULL,"
            " digest TEXT NOT NULL);"
            "CREATE INDEX rows_by_path ON rows (path);"
        )

    def close(self) -> None:
        """Forget it all."""
        self._database.close()

    def encode(self, digest: str, path: str) -> None:
        """Note that some bytes would be encoded, if they were not before."""
        sql = "INSERT OR IGNORE INTO contents VALUES (?, ?)"
        self._database.execute(sql, (digest, os.fsencode(path)))

    def encoded(self, digest: str) -> str | None:
        """Return the path of the image for which some bytes would have been encoded."""
        sql = "SELECT path FROM contents WHERE digest = ?"
        found = self._database.execute(sql, (digest,)).fetchone()
        return None if found is None else os.fsdecode(found[0])

    def place(self, identity: int, before: str, path: str, digest: str) -> None:
        """Note that a row would be at a path, with some bytes; it was at another before."""
        self._database.execute(_PLACE, (identity, os.fsencode(before), os.fsencode(path), digest))

    def as_placed(self, row: ImageRow) -> ImageRow:
        """Return a stored row with the path and the digest that it would have by now."""
        sql = "SELECT path, digest FROM rows WHERE id = ?"
        found = self._database.execute(sql, (cast("int", row.id),)).fetchone()
        return row if found is None else replace(row, path=os.fsdecode(found[0]), digest=found[1])

    def origin(self, path: str) -> str | None:
        """Return where the row is stored that would be at a path, if one was placed there."""
        sql = "SELECT stored FROM rows WHERE path = ?"
        found = self._database.execute(sql, (os.fsencode(path),)).fetchone()
        return None if found is None else os.fsdecode(found[0])
