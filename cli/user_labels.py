"""The label table of --labels, for commands that are given the images' folder as a PATH."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boost_edge.cli.render import warn
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.wording import counted

__all__ = ["UserLabels", "read_user_labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLabels:
    """A label table that was given beside a folder of images.

    ``by_image`` are its known cells by absolute path; ``folder`` is what its names are relative to,
    ``columns`` are all of its columns, of which ``image_column`` holds the names.
    """

    folder: Path
    columns: tuple[str, ...]
    image_column: str
    by_image: Mapping[str, Mapping[str, str]]


def read_user_labels(table: Path, paths: tuple[Path, ...], image_column: str | None) -> UserLabels:
    """Read a label table, and name on stderr what is missing.

    Raises
    ------
    UsageError
        When there is not exactly one folder among the paths, which its names are relative to.
    """
    from boost_edge.export.labels import read_cells
    from boost_edge.runtime.crawl import absolute

    folders = [path for path in paths if path.is_dir()]
    if len(folders) != 1:
        raise UsageError(
            f"--labels needs exactly one folder among the paths, not {len(folders)}: the names "
            f"in {table} are relative to it"
        )
    cells = read_cells(table, images=folders[0], image_column=image_column)
    if cells.missing:
        rows = counted(len(cells.missing), "row")
        warn(f"{rows} of {table} without image, the first is {cells.missing[0]}")
    return UserLabels(
        folder=folders[0],
        columns=cells.columns,
        image_column=cells.image_column,
        by_image={absolute(path): labels for path, labels in cells.by_image.items()},
    )
