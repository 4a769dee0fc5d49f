"""Connect to a gallery's SQLite file, and turn SQLite's errors into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from boost_edge.runtime.errors import (
    GalleryCorruptError,
    GalleryError,
    GalleryLockedError,
    UsageError,
)

__all__ = ["connect", "damaged", "translating"]

_BUSY_SECONDS = 10.0


def connect(path: Path, *, mode: Literal["rw", "rwc"]) -> sqlite3.Connection:
    """Open a database; ``rwc`` creates it.

    Transactions are begun and ended by hand, and the caller lets threads take turns.
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_SECONDS,
    )


@contextmanager
def translating(path: Path) -> Generator[None, None, None]:
    """Raise SQLite's errors as ours, by its primary result code (sqlite.org/rescode.html).

    Raises
    ------
    GalleryCorruptError
        When the file is not a database, is damaged, or has other tables.
    GalleryLockedError
        When another process keeps it busy for longer than ten seconds.
    GalleryError
        When the disk is full, not writable, or fails.
    UsageError
        When the database was closed.
    """
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise UsageError(f"{path}: {error} open the gallery again") from error
    except UnicodeDecodeError as error:
        # SQLite's message quotes what it found in a damaged schema.
        raise damaged(path, "text that is not UTF-8") from error
    except sqlite3.Error as error:
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise GalleryLockedError(
                f"{path}: another process keeps it busy: wait until it is done, then try again"
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise damaged(path, str(error)) from error
        raise GalleryError(f"{path}: {error}: check the disk's space and permissions") from error


def damaged(path: Path, what: str) -> GalleryCorruptError:
    """Return the error for a database that cannot be trusted."""
    return GalleryCorruptError(
        f"{path}: is damaged, or not a gallery's ({what}): restore it from a backup, "
        "or index the images again into a new folder"
    )
