"""Find the image files under some paths, in an order that does not depend on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.images import IMAGE_SUFFIXES

__all__ = ["absolute", "find_images"]


def absolute(path: str | os.PathLike[str]) -> str:
    """Return a path as galleries store it: absolute, links kept, ``..`` resolved."""
    full = Path(path).absolute()
    if ".." in full.parts:
        # Dropping "link/.." by its letters would name another folder.
        full = full.parent.resolve() / full.name
    return os.fspath(full)


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the images that ``paths`` name or contain.

    A file that is named is taken whatever its suffix. A folder is searched with all its subfolders
    for names that end in one of ``IMAGE_SUFFIXES``, leaving out names that start with a dot.
    Links are followed, but no folder is searched twice, so links that form a loop do no harm.

    What cannot be read is not left out: a FIFO called ``x.jpg``, a link to nothing and a subfolder
    that may not be listed are in the result, so that reading them says what is wrong.

    Parameters
    ----------
    paths
        Files and folders, in the order in which their images are wanted.

    Returns
    -------
    list[Path]
        Each beginning with the path it was found under. In a folder the files come first, by name,
        then the subfolders, by name. A file that several paths or links lead to is listed once,
        under the first of them.

    Raises
    ------
    UsageError
        When a path does not exist or cannot be looked at, or ``paths`` is a single path.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise UsageError(f"paths is a list of files and folders, not {paths!r} alone")
    found: dict[Path, Path] = {}
    searched: set[tuple[int, int]] = set()
    for given in paths:
        path = _existing(os.fspath(given))
        if path.is_dir():
            for image, identity in _search(path, searched):
                found.setdefault(identity, image)
        else:
            found.setdefault(_real(path), path)
    return list(found.values())


def _existing(given: str) -> Path:
    try:
        if not given:
            raise UsageError("a path is empty: give the name of a file or folder")
        Path(given).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{given!r}: there is no such file or folder") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{given!r}: it cannot be looked at ({error})") from error
    return Path(given)


def _search(top: Path, searched: set[tuple[int, int]]) -> Iterator[tuple[Path, Path]]:
    """Yield the images under ``top``, each with the real path that tells duplicates.

    ``searched`` holds device and inode of every folder that was entered, and is added to.
    """
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        real = _real(folder)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in searched:
                continue
            searched.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                listed = sorted(
                    (entry for entry in entries if not entry.name.startswith(".")),
                    key=lambda entry: entry.name,
                )
        except OSError:
            yield folder, real
            continue
        subfolders: list[Path] = []
        for entry in listed:
            if _is_folder(entry):
                subfolders.append(folder / entry.name)
            elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                path = folder / entry.name
                yield path, _real(path) if entry.is_symlink() else real / entry.name
        waiting.extend(reversed(subfolders))


def _real(path: Path) -> Path:
    # Path.resolve raises for links that lead round in a circle.
    return Path(os.path.realpath(path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads round in a circle: reading it as a file says so.
        return False
