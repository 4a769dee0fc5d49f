"""Find the image files under some paths, one by one, in an order that does not depend on the disk.

However many images there are, no more is held than the names of one folder, a few bytes for each
folder, and the paths of the files that are named or reached through links. Paths are text, for
``pathlib`` enters each name it meets in a table of the interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.selection import EVERYTHING, Selection

__all__ = ["absolute", "find_images", "find_images_among", "folder_prefix", "require_paths"]

PathLike = str | os.PathLike[str]
# Device and inode: what a folder is, whatever its name.
_Folder = tuple[int, int]


def absolute(path: PathLike) -> str:
    """Return a path as galleries store it: absolute, links kept, ``..`` resolved."""
    text = os.fspath(path)
    if text.startswith("/") and not text.endswith("/") and "/." not in text and "//" not in text:
        return text
    full = Path(path).absolute()
    if ".." not in full.parts:
        return os.fspath(full)
    at = Path("/")
    for part in full.parts[1:]:
        if part != "..":
            at /= part
        else:
            # Dropping "link/.." by its letters would name another folder.
            at = (Path(_real(at)) if _is_link(at) else at).parent
    return os.fspath(at)


def folder_prefix(folder: PathLike) -> str:
    """Return what the stored paths of the images below a folder begin with; it ends in a slash."""
    return absolute(Path(folder) / "_")[:-1]


def require_paths(
    paths: Iterable[PathLike], *, unless: Callable[[str], bool] | None = None
) -> list[Path]:
    """Return the paths as a list, if each can be searched.

    A path that does not exist is let pass where ``unless`` says so.

    Raises
    ------
    UsageError
        When a path does not exist or cannot be looked at, or ``paths`` is a single path.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise UsageError(f"paths is a list of files and folders, not {paths!r} alone")
    return [_existing(os.fspath(given), unless) for given in paths]


def find_images(paths: Iterable[PathLike], selection: Selection = EVERYTHING) -> Iterator[str]:
    """Yield the images that ``paths`` name or contain.

    A file that is named is taken whatever its name. A folder is searched with all its subfolders
    for the names that ``selection`` takes. Links are followed, but no folder is searched twice, so
    links that form a loop do no harm.

    What cannot be read is not left out: a FIFO called ``x.jpg``, a link to nothing and a subfolder
    that may not be listed are yielded, so that reading them says what is wrong.

    Parameters
    ----------
    paths
        Files and folders, in the order in which their images are wanted.
    selection
        Which of the images below the folders are wanted.

    Yields
    ------
    str
        Each beginning with the path it was found under. In a folder the files come first, by name,
        then the subfolders, by name. A file that several paths or links lead to comes once,
        under the first of them.

    Raises
    ------
    UsageError
        At once, as `require_paths` does.
    """
    return _Crawl(selection).walk(require_paths(paths))


def find_images_among(
    paths: Iterable[PathLike], selection: Selection, only: Iterable[PathLike]
) -> Iterator[str]:
    """Yield those of the images of `find_images` that are, or lie below, one of some paths.

    What ``only`` names need not exist. Paths are absolute and come in the order of the letters.
    """
    return _Crawl(selection).walk_among(require_paths(paths), sorted(set(map(absolute, only))))


def _existing(given: str, unless: Callable[[str], bool] | None) -> Path:
    try:
        if not given:
            raise UsageError("a path is empty: give the name of a file or folder")
        Path(given).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if unless is not None and unless(given):
            return Path(given)
        raise UsageError(f"{given!r}: there is no such file or folder") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{given!r}: it cannot be looked at ({error})") from error
    return Path(given)


class _Crawl:
    """One search: what it must remember so that nothing comes twice."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        # Each folder that was entered, with its path relative to the folder that was given; None
        # where it could not be listed.
        self._searched: dict[_Folder, str | None] = {}
        # Real paths of the files that were named, or reached through a link.
        self._apart: set[str] = set()
        # The folder that is being listed, and how far: files after this name are still to come.
        self._now: tuple[_Folder, str] | None = None

    def walk(self, given: Sequence[Path]) -> Iterator[str]:
        """Yield the images of some paths that exist."""
        for path in given:
            if path.is_dir():
                yield from self._search(path, "")
            elif self._is_new(os.fspath(path)):
                yield os.fspath(path)

    def walk_among(self, given: Sequence[Path], only: Sequence[str]) -> Iterator[str]:
        """Yield the images that are or lie below one of ``only``, and below ``given``."""
        named = {absolute(path) for path in given if not path.is_dir()}
        tops = [folder_prefix(path) for path in given if path.is_dir()]
        real_tops = [f"{_real(top)}/" for top in tops]
        for each in only:
            for below in tops:
                if below.startswith(f"{each}/"):
                    yield from self._search(Path(below), "")
            top = next((top for top in tops if each.startswith(top)), None)
            if each in named:
                yield each
            elif top is not None and os.path.lexists(each):
                yield from self._walk_one(Path(each), each[len(top) :], real_tops)

    def _walk_one(self, path: Path, relative: str, real_tops: Sequence[str]) -> Iterator[str]:
        """Yield the images that a path below a folder is or contains."""
        if not all(map(self._selection.shows, relative.split("/"))):
            return
        if path.is_dir():
            if self._selection.enters(relative):
                yield from self._search(path, f"{relative}/")
        elif self._selection.takes(relative):
            # Where a link leads to a file below these folders, that is the image.
            inside = path.is_symlink() and _real(path).startswith(tuple(real_tops))
            if not inside and self._is_new(os.fspath(path)):
                yield os.fspath(path)

    def _search(self, top: Path, prefix: str) -> Iterator[str]:
        """Yield the images under a folder whose relative path is ``prefix``."""
        waiting = [(top, prefix)]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                identity = _identity(folder)
                if identity in self._searched:
                    continue
                self._searched[identity] = None
                files, subfolders = self._list(folder, prefix)
            except OSError:
                yield os.fspath(folder)
                continue
            self._searched[identity] = prefix
            base = "" if folder == Path() else _slashed(os.fspath(folder))
            real = _slashed(_real(folder))
            for name, is_link in files:
                self._now = (identity, name)
                if is_link:
                    if self._is_new(base + name):
                        yield base + name
                # Most searches meet neither links nor named files.
                elif not self._apart or real + name not in self._apart:
                    yield base + name
            self._now = None
            waiting.extend((folder / name, f"{prefix}{name}/") for name in reversed(subfolders))

    def _list(self, folder: Path, prefix: str) -> tuple[list[tuple[str, bool]], list[str]]:
        """Return the files that are wanted, each with whether it is a link, and the subfolders."""
        files: list[tuple[str, bool]] = []
        subfolders: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if not self._selection.shows(entry.name):
                    continue
                relative = f"{prefix}{entry.name}"
                if _is_folder(entry):
                    if self._selection.enters(relative):
                        subfolders.append(entry.name)
                elif self._selection.takes(relative):
                    files.append((entry.name, entry.is_symlink()))
        return sorted(files), sorted(subfolders)

    def _is_new(self, path: str) -> bool:
        """Return whether a file, named or behind a link, has not come before; remember it."""
        real = _real(path)
        if real in self._apart or self._came_from_its_folder(real):
            return False
        self._apart.add(real)
        return True

    def _came_from_its_folder(self, real: str) -> bool:
        folder, _, name = real.rpartition("/")
        try:
            identity = _identity(Path(folder or "/"))
        except OSError:
            return False
        prefix = self._searched.get(identity)
        if prefix is None or not self._selection.takes(f"{prefix}{name}"):
            return False
        if self._now is not None and self._now[0] == identity and name >= self._now[1]:
            return False
        return os.path.lexists(real)


def _identity(folder: Path) -> _Folder:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _slashed(folder: str) -> str:
    return folder if folder.endswith("/") else f"{folder}/"


def _real(path: PathLike) -> str:
    # Path.resolve raises for links that lead round in a circle.
    return os.path.realpath(path)


def _is_link(path: Path) -> bool:
    return os.path.islink(path)  # noqa: PTH114 - pathlib's raises where it may not look


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads round in a circle: reading it as a file says so.
        return False
