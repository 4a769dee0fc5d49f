"""Features that were computed before, on disk: one SQLite file per network and preprocessing.

The rows are keyed by the content of the image, so a renamed image is found and a changed one is
not. It is a cache: whatever is wrong with it costs time, never a result. A damaged file is built
anew, a damaged row is computed again, and where no file can be written nothing is kept.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError

__all__ = ["FeatureCache", "cache_dir"]

_LOG = logging.getLogger(__name__)
# How long to wait for another process that is writing, in seconds.
_BUSY_TIMEOUT = 60.0
_TABLE = """
CREATE TABLE IF NOT EXISTS feature (
  digest BLOB PRIMARY KEY, -- sha256 of the image file
  vector BLOB NOT NULL,    -- float32, little-endian
  crc32 INTEGER NOT NULL   -- of vector: SQLite itself does not notice a flipped bit
)
"""


def cache_dir() -> Path:
    """Return the folder for what can be computed again; it need not exist.

    ``$BOOST_EDGE_CACHE_DIR``, else ``$XDG_CACHE_HOME/boost-edge``, else ``~/.cache/boost-edge``.

    Raises
    ------
    UsageError
        When none of them is set and the user has no home folder.
    """
    if own := os.environ.get("BOOST_EDGE_CACHE_DIR"):
        return Path(own)
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    if xdg.is_absolute():
        return xdg / "boost-edge"
    try:
        return Path.home() / ".cache" / "boost-edge"
    except RuntimeError as error:
        raise UsageError(
            "this user has no home folder for the cache: name a folder in BOOST_EDGE_CACHE_DIR"
        ) from error


class FeatureCache:
    """Vectors of F float32 values by image content; a context manager, safe between threads.

    Parameters
    ----------
    path
        The SQLite file; it and its folder are made where absent. Processes may share it.
    width
        F. A row of another width counts as absent.
    """

    def __init__(self, path: Path, *, width: int) -> None:
        self._path = path
        self._width = width
        self._lock = threading.Lock()
        self._connection = self._open()

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def get(self, digest: str) -> NDArray[np.float32] | None:
        """Return the vector ``(F,) float32`` of a content sha256, or ``None``; read-only."""
        with self._lock:
            if self._connection is None:
                return None
            try:
                row: tuple[bytes, int] | None = self._connection.execute(
                    "SELECT vector, crc32 FROM feature WHERE digest = ?", (bytes.fromhex(digest),)
                ).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        if row is None or len(row[0]) != 4 * self._width or zlib.crc32(row[0]) != row[1]:
            return None
        return np.frombuffer(row[0], dtype="<f4")

    def put(self, digests: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep vectors ``(n, F) float32``, all or none of them; on disk when this returns."""
        blobs = [vector.astype("<f4").tobytes() for vector in vectors]
        rows = [
            (bytes.fromhex(digest), blob, zlib.crc32(blob))
            for digest, blob in zip(digests, blobs, strict=True)
        ]
        with self._lock:
            if self._connection is None:
                return
            try:
                with self._connection:
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO feature VALUES (?, ?, ?)", rows
                    )
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Let go of the file; nothing is kept or found afterwards."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _give_up(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        _LOG.warning("%s: going on without this feature cache (%s)", self._path, error)

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Without the lock two processes could find the damage at once, and the slower one
            # would delete what the faster one has built.
            with _locked(self._path.with_suffix(".lock")):
                try:
                    return _connect(self._path)
                except sqlite3.OperationalError:
                    raise  # the file may be sound: it is locked, read-only, on a full disk, ...
                except sqlite3.DatabaseError as error:
                    _LOG.warning("%s: damaged feature cache, built anew (%s)", self._path, error)
                    for ending in ("", "-wal", "-shm"):
                        Path(f"{self._path}{ending}").unlink(missing_ok=True)
                    return _connect(self._path)
        except (OSError, sqlite3.Error) as error:
            _LOG.warning("%s: going on without a feature cache (%s)", self._path, error)
            return None


def _connect(path: Path) -> sqlite3.Connection:
    # The lock of FeatureCache lets one thread in at a time.
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        with connection:
            connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
