"""Write a file so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["TEMPORARY_SUFFIX", "replacing"]

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """Give a temporary path beside ``path``; on success it is flushed and takes its name.

    When the block raises, the temporary file is removed and ``path`` stays as it was. Raises
    OSError where the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every file system lets a folder be synced."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
