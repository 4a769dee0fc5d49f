"""The file ``gallery.sqlite``: make it, and open it to write or only to read."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from boost_edge.runtime.binding import Binding, read_binding
from boost_edge.runtime.database import (
    connect,
    connect_reading,
    is_writable,
    stamp_of,
    translating,
)
from boost_edge.runtime.errors import GalleryError
from boost_edge.runtime.replace import replacing
from boost_edge.runtime.schema import CREATE, PAGE_BYTES

__all__ = ["OpenDatabase", "create_database", "open_database"]

_CACHE_KIB = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDatabase:
    """An open database of the present format.

    ``stamp`` is that of a file that SQLite was told nobody writes to (``database.stamp_of``), and
    None where SQLite sees to it itself.
    """

    database: sqlite3.Connection
    binding: Binding
    read_only: bool
    stamp: tuple[int, ...] | None


def create_database(path: Path, meta: Mapping[str, object]) -> None:
    """Make an empty database that holds ``meta``; see ``Store.create``."""
    try:
        with (
            replacing(path) as temporary,
            translating(path),
            closing(connect(temporary, mode="rwc")) as database,
        ):
            database.execute(f"PRAGMA page_size = {PAGE_BYTES:d}")
            database.executescript(CREATE)
            database.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            database.execute("PRAGMA journal_mode = WAL")
    except OSError as error:
        raise GalleryError(f"{path}: cannot be written: {error.strerror}") from error


def open_database(path: Path, *, read_only: bool) -> OpenDatabase:
    """Open a database, read-only where it cannot be written; see ``Store.open``."""
    read_only = read_only or (path.exists() and not is_writable(path))
    stamp: tuple[int, ...] | None = None
    with translating(path):
        if read_only:
            database, alone = connect_reading(path)
            stamp = stamp_of(path) if alone else None
        else:
            database = connect(path, mode="rw")
        try:
            # Enough for the upper pages of a million images' indexes; SQLite's own 2 MB is not.
            database.execute(f"PRAGMA cache_size = -{_CACHE_KIB:d}")
            if not read_only:
                # What is committed must survive a power cut, not only a crash.
                database.execute("PRAGMA synchronous = FULL")
                database.execute("PRAGMA foreign_keys = ON")
            meta = dict(database.execute("SELECT key, value FROM meta").fetchall())
            return OpenDatabase(
                database=database,
                binding=read_binding(path, meta),
                read_only=read_only,
                stamp=stamp,
            )
        except BaseException:
            database.close()
            raise
