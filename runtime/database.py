"""Connect to a gallery's SQLite file, and turn SQLite's errors into ours."""

from __future__ import annotations

import os
import shlex
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

__all__ = [
    "connect",
    "connect_reading",
    "damaged",
    "is_writable",
    "stamp_of",
    "translating",
]

_BUSY_SECONDS = 10.0


def is_writable(path: Path) -> bool:
    """Return whether a database, and the log beside it, can be written.

    Asks for the file system too: root may write anywhere but on a disk that is read-only.
    """
    return os.access(path.parent, os.W_OK | os.X_OK) and os.access(path, os.W_OK)


def _log_of(path: Path) -> Path:
    """Return where SQLite keeps what is committed and not in the database's own file yet."""
    return path.with_name(f"{path.name}-wal")


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody writes to a database, or has begun to."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, _log_of(path).exists()


def connect_reading(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open a database to read it, also where nothing can be written (sqlite.org/wal.html).

    Returns
    -------
    tuple
        The connection, and whether nothing but the database's own file is looked at: then nobody
        may write to it meanwhile.

    Raises
    ------
    GalleryError
        When it has a log that SQLite cannot read without writing.
    """
    if is_writable(path):
        # As any reader, so that the last to leave tidies up; yet nothing can be changed.
        database = connect(path, mode="rw")
        database.execute("PRAGMA query_only = ON")
        return database, False
    log = _log_of(path)
    if log.exists():
        database = connect(path, mode="ro")
        try:
            database.execute("SELECT 1 FROM sqlite_schema").fetchall()
        except sqlite3.OperationalError as error:
            database.close()
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            if log.stat().st_size:
                raise GalleryError(
                    f"{path}: the commits in {log.name} cannot be read where nothing can be "
                    "written: open the gallery once where it can be (boost-edge compact "
                    f"{shlex.quote(str(path.parent))}), then copy it again"
                ) from error
        except BaseException:
            database.close()
            raise
        else:
            return database, False
    return connect(path, mode="ro", immutable=True), True


def connect(
    path: Path, *, mode: Literal["rw", "rwc", "ro"], immutable: bool = False
) -> sqlite3.Connection:
    """Open a database; ``rwc`` creates it, ``immutable`` looks for no log and takes no locks.

    Transactions are begun and ended by hand, and the caller lets threads take turns.
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}&immutable={immutable:d}",
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
        code = _code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise GalleryLockedError(
                f"{path}: another process keeps it busy: wait until it is done, then try again"
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            # Python quotes what it could not read.
            unreadable = str(error).startswith("Could not decode to UTF-8")
            what = "text that is not UTF-8" if unreadable else str(error)
            raise damaged(path, what) from error
        raise GalleryError(f"{path}: {error}: check the disk's space and permissions") from error


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def damaged(path: Path, what: str) -> GalleryCorruptError:
    """Return the error for a database that cannot be trusted."""
    return GalleryCorruptError(
        f"{path}: is damaged, or not a gallery's ({what}): restore it from a backup, "
        "or index the images again into a new folder"
    )
