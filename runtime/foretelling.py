"""What a dry run must remember of the run that it foretells."""

from __future__ import annotations

import os
import sqlite3

__all__ = ["Foretold"]


class Foretold:
    """Which contents would be encoded, and which rows renamed: all of them, in bounded memory.

    They are held by a private database without a name, which SQLite keeps in memory while it is
    small, and in a temporary file that nobody sees otherwise (sqlite.org/inmemorydb.html).
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE contents (digest TEXT PRIMARY KEY, path BLOB NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE renamed (id INTEGER PRIMARY KEY);"
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

    def rename(self, identity: int) -> None:
        """Note that a row would have another path."""
        self._database.execute("INSERT OR IGNORE INTO renamed VALUES (?)", (identity,))

    def renames(self, identity: int) -> bool:
        """Return whether a row would have another path."""
        sql = "SELECT 1 FROM renamed WHERE id = ?"
        return self._database.execute(sql, (identity,)).fetchone() is not None
