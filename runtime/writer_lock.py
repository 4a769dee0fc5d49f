"""One writer at a time: a lock that vanishes with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from boost_edge.runtime.errors import GalleryError, GalleryLockedError

__all__ = ["LOCK_NAME", "read_only_error", "writer_lock"]

LOCK_NAME = "writer.lock"
# Room for any process id.
_HOLDER_BYTES = 32


@contextmanager
def writer_lock(folder: Path) -> Generator[None, None, None]:
    """Hold the folder's writer lock; the file itself stays, only the kernel's lock counts.

    Raises
    ------
    GalleryLockedError
        When it is held already, naming the process that holds it.
    GalleryError
        When the folder cannot be written to.
    """
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise read_only_error(folder) from error
        raise GalleryError(f"{folder}: cannot be written to: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            # Empty for the moment between another process's lock and its note.
            holder = os.pread(handle, _HOLDER_BYTES, 0).strip()
            name = holder.decode("ascii") if holder.isdigit() else "(unknown)"
            raise GalleryLockedError(
                f"{folder}: process {name} is writing to it: wait until it is done, then try again"
            ) from error
        except OSError as error:
            raise GalleryError(f"{folder}: cannot be locked: {error.strerror}") from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as error:
            raise GalleryError(
                f"{folder}: cannot be written to: {error.strerror}: check the disk's space"
            ) from error
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def read_only_error(folder: Path) -> GalleryError:
    """Return the error for a gallery that is to be written and cannot be."""
    return GalleryError(
        f"{folder}: cannot be written to, for it is read-only or was opened so: "
        "copy it to where it can be written"
    )
