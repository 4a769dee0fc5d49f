"""Find the image that each row of a label file names."""

from __future__ import annotations

import difflib
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from boost_edge.export.label_files import Table
from boost_edge.runtime.errors import LabelTableError, UsageError
from boost_edge.runtime.wording import counted

__all__ = ["Located", "check_column", "locate_images", "name_in_table"]

_COLUMNS = ("file_name", "id")
# Tried in this order for a name without its suffix.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".WEBP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A table's image column, its cells, and the file of each row (``None`` where missing)."""

    column: str
    names: tuple[str, ...]
    files: tuple[Path | None, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the names whose image is missing, each once, in the order of the table."""
        return tuple(
            dict.fromkeys(
                name for name, file in zip(self.names, self.files, strict=True) if file is None
            )
        )


def locate_images(table: Table, *, images: Path, image_column: str | None) -> Located:
    """Find the images of a table in the folder ``images``, listing each folder once.

    ``image_column`` names the images; ``None`` is ``file_name``, else ``id``. An id ``7`` is the
    image ``7.jpg`` (or .jpeg, .png, .webp); another name is taken as it is, else with a suffix.

    Raises
    ------
    LabelTableError
        When no column names the images, a name is blank or leads out of the folder, or not one
        image is there.
    UsageError
        When ``images`` is not a folder.
    """
    if not images.is_dir():
        raise UsageError(f"{images}: is not a folder of images: check --images")
    column = _choose_column(table, image_column)
    names = table.column(column)
    listings: dict[str, frozenset[str]] = {}
    files: list[Path | None] = []
    for row, name in enumerate(names):
        _check_name(table, row, name, column)
        folder, base = posixpath.split(posixpath.normpath(name))
        if folder not in listings:
            listings[folder] = _list_files(images / folder)
        chosen = _choose_file(base, listings[folder], is_id=column == "id")
        files.append(None if chosen is None else images / folder / chosen)
    if not any(files):
        raise LabelTableError(
            f"{table.path}: none of its {counted(len(table), 'image')} is in {images} (the first "
            f"is {names[0]!r}): check the folder and --image-column"
        )
    return Located(column=column, names=names, files=tuple(files))


def name_in_table(relative: str, column: str) -> str:
    """Return how a table's image column names a file, relative to the folder of its images.

    ``column`` is its name: of an ``id`` the suffix is left out.
    """
    if column != "id":
        return relative
    return next((relative[: -len(end)] for end in _SUFFIXES if relative.endswith(end)), relative)


def _choose_column(table: Table, requested: str | None) -> str:
    if requested is not None:
        check_column(table, requested, "--image-column")
        return requested
    for name in _COLUMNS:
        if name in table.columns:
            return name
    raise LabelTableError(
        f"{table.path}: no column names the images: call it {' or '.join(_COLUMNS)}, or say which "
        f"with --image-column (columns: {', '.join(table.columns)})"
    )


def check_column(table: Table, name: str, option: str) -> None:
    """Raise a LabelTableError with the nearest names where the table has no such column."""
    if name in table.columns:
        return
    by_folded = {column.casefold(): column for column in table.columns}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    hint = (
        f"did you mean {' or '.join(by_folded[each] for each in near)}?"
        if near
        else f"its columns are {', '.join(table.columns)}"
    )
    raise LabelTableError(f"{table.path}: has no column {name} ({option}): {hint}")


def _check_name(table: Table, row: int, name: str, column: str) -> None:
    """Refuse a blank name, and one that leads out of the folder."""
    if not name:
        raise LabelTableError(
            f"{table.path}: {table.where(row)}: the image column {column} is blank: name the "
            "image, or remove the row"
        )
    parts = name.split("/")
    if not parts[0] or ".." in parts or posixpath.normpath(name) == ".":
        raise LabelTableError(
            f"{table.path}: {table.where(row)}: image {name!r} is not a name inside the image "
            "folder: write names relative to --images, without '..'"
        )


def _choose_file(name: str, listing: frozenset[str], *, is_id: bool) -> str | None:
    # An id is not a file name: id 7 means 7.jpg even where a file 7 exists.
    if not is_id and name in listing:
        return name
    for suffix in _SUFFIXES:
        if name + suffix in listing:
            return name + suffix
    return name if name in listing else None


def _list_files(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if _is_file(entry))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise LabelTableError(f"{folder}: cannot be listed ({error.strerror})") from error


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a symbolic link in a loop
        return False
