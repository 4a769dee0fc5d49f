"""Find the images whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from boost_edge.runtime.crawl import absolute
from boost_edge.runtime.store import Store

__all__ = ["find_gone", "is_gone"]


def is_gone(path: str) -> bool:
    """Return whether nothing has this name.

    A link that leads nowhere is there, and so is a file in a folder that may not be looked into.
    """
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def find_gone(store: Store, given: Iterable[str | os.PathLike[str]]) -> dict[int, str]:
    """Return ids and paths of the live images below the folders among some paths that are gone."""
    # As the paths of the images in a folder are stored.
    folders = [absolute(Path(each) / "_")[:-1] for each in given if Path(each).is_dir()]
    with store.snapshot():
        return {
            identity: path
            for folder in folders
            for identity, path in store.paths_under(folder)
            if is_gone(path)
        }
