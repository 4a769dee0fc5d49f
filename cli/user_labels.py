"""The label table of --labels, for commands that are given the images' folder as a PATH."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from boost_edge.cli.render import warn
from boost_edge.runtime.errors import UsageError

__all__ = ["read_user_labels"]


def read_user_labels(
    table: Path, paths: tuple[Path, ...], image_column: str | None
) -> dict[str, Mapping[str, str]]:
    """Return the known cells of a label table by absolute image path, and name what is missing.

    Raises
    ------
    UsageError
        When there is not exactly one folder among the paths, which its names are relative to.
    """
    from boost_edge.export.labels import read_cells

    folders = [path for path in paths if path.is_dir()]
    if len(folders) != 1:
        raise UsageError(
            f"--labels needs exactly one folder among the paths, not {len(folders)}: the names "
            f"in {table} are relative to it"
        )
    cells = read_cells(table, images=folders[0], image_column=image_column)
    if cells.missing:
        warn(f"{len(cells.missing)} rows of {table} have no image, the first is {cells.missing[0]}")
    return {os.fspath(path.absolute()): labels for path, labels in cells.by_image.items()}
