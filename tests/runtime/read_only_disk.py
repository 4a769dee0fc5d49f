"""Mount a folder read-only, in earnest: file modes do not stop root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["frozen", "mounted"]


def _run(*command: str | Path) -> None:
    tool, *arguments = map(str, command)
    found = shutil.which(tool)
    if found is None or os.geteuid() != 0:
        pytest.skip("needs to mount a tmpfs, which takes root")
    done = subprocess.run([found, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot {tool} a tmpfs: {done.stderr.strip()}")


@contextmanager
def mounted(folder: Path, megabytes: int) -> Generator[Path, None, None]:
    """Give a folder on a file system of its own; skip, saying why, where that is impossible."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder)
    try:
        yield folder
    finally:
        subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


@contextmanager
def frozen(folder: Path) -> Generator[None, None, None]:
    """Let nothing write to a `mounted` folder for a while."""
    _run("mount", "-o", "remount,ro", folder)
    try:
        yield
    finally:
        _run("mount", "-o", "remount,rw", folder)
