"""Read a file's bytes without ever waiting, and with a typed error for every way to fail."""

from __future__ import annotations

import hashlib
import os
import stat

from boost_edge.runtime.errors import ImageError

__all__ = ["MAX_BYTES", "content_digest", "read_bytes"]

MAX_BYTES = 1 << 30
"""Largest file that is read, in bytes: 100 million pixels in the least compact format fit."""


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file, whatever its name.

    Never waits: FIFOs, sockets and devices are refused unopened.

    Raises
    ------
    ImageError
        With reason ``missing``, ``not_a_file``, ``permission``, ``unreadable``, ``empty`` or
        ``too_large`` (more than ``MAX_BYTES``).
    """
    source = os.fspath(path)
    try:
        _require_regular(source, os.stat(source))  # noqa: PTH116 - once for every image
        # A FIFO may have taken the file's place since: O_NONBLOCK opens it without a writer.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            _require_regular(source, status)
            if status.st_size > MAX_BYTES:
                raise ImageError(source, "too_large", _too_many_bytes(status.st_size))
            data = file.readall()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(source, "missing", "there is no such file") from error
    except PermissionError as error:
        raise ImageError(source, "permission", "permission to read it is denied") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(source, "unreadable", f"it cannot be read ({why})") from error
    if not data:
        raise ImageError(source, "empty", "the file is empty")
    return data


def _require_regular(source: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if not stat.S_ISDIR(status.st_mode):
        raise ImageError(source, "not_a_file", "it is a FIFO, socket or device, not a file")
    # A folder that a search could not list is read to learn why: say so (PermissionError).
    os.scandir(source).close()
    raise ImageError(source, "not_a_file", "it is a folder, not a file")


def _too_many_bytes(size: int) -> str:
    return f"the file has {size:,} bytes, more than the limit of {MAX_BYTES:,}"


def content_digest(data: bytes) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
