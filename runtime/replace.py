"""Write a file so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["TEMPORARY_SUFFIX", "left_over", "replacing"]

TEMPORARY_SUFFIX = ".tmp"
# What SQLite writes beside a database that is a temporary file.
_SQLITE = r"(?:-journal|-wal|-shm)?"


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """Give a temporary path beside ``path``; on success it is flushed and takes its name.

    When the block raises, the temporary file is removed and ``path`` stays as it was. Raises
    OSError where the folder cannot be written to.
    """
    # In containers many processes have the same number.
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name}.{unique}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def left_over(path: Path) -> list[Path]:
    """List the temporary files of ``path`` that nobody holds locked: their writer was killed.

    A writer that works at the same time as this is called locks its file (``flock``).
    """
    form = re.compile(rf"\.{re.escape(path.name)}\.\d+(-[0-9a-f]+)?{TEMPORARY_SUFFIX}{_SQLITE}")
    found = sorted(each for each in path.parent.iterdir() if form.fullmatch(each.name))
    return [each for each in found if not _is_locked(each)]


def _is_locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        # It has just been renamed, or is not ours to judge.
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every file system lets a folder be synced."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
