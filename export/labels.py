"""The label table: which image shows which value of which attribute.

One row per image. The image is named by the column ``file_name`` (as in a Hugging Face
ImageFolder's ``metadata.csv``), by ``id`` (image ``<id>.jpg``), or by a column of your choice. A
cell that is blank or says NA, N/A, NaN or null (in any case) is an unknown label. A column
``p(NAME)`` beside a column NAME is a probability, as ``boost-edge label`` writes it, and no label.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.label_attributes import (
    MAX_VALUES,
    SPLIT_COLUMN,
    choose_attributes,
    count_values,
    is_probability,
    is_unknown,
)
from boost_edge.export.label_files import Table, read_table
from boost_edge.export.label_images import locate_images
from boost_edge.runtime.errors import LabelTableError
from boost_edge.runtime.manifest import Attribute

__all__ = [
    "MAX_VALUES",
    "UNKNOWN",
    "Cells",
    "LabelTable",
    "read_cells",
    "read_labels",
]

UNKNOWN = -1
_PARTS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The known cells of the images that exist: file, then column, then text.

    Cells that are unknown, the image column, ``split`` and probabilities ``p(NAME)`` are left out.
    ``missing`` are the names of the images that are in the label file but not on disk; ``columns``
    are all of the file's, in its order, of which ``image_column`` names the images.
    """

    columns: tuple[str, ...]
    image_column: str
    by_image: Mapping[Path, Mapping[str, str]]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """The N labelled images that exist, and what is known of them.

    Parameters
    ----------
    path, sha256
        The label file, and the sha256 of its bytes in hexadecimal.
    image_column
        The column that names the images.
    names
        The images as the file writes them, all different; in the order of the file.
    paths
        Their files.
    attributes
        The A attributes, each with its values sorted.
    codes
        ``(N, A) int64``: position of the label in ``attributes[a].values``, -1 where unknown.
    split
        ``train``, ``val`` or ``test`` by row, or ``None`` where the file does not say.
    missing
        Names of the images that are in the file but not on disk; they are in no other field.
    duplicates
        How many rows were left out because they repeat an earlier row's image and labels.
    columns
        The text of every column but the image's, by row, as the file writes it.
    """

    path: Path
    sha256: str
    image_column: str
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    attributes: tuple[Attribute, ...]
    codes: NDArray[np.int64]
    split: tuple[str, ...] | None
    missing: tuple[str, ...]
    duplicates: int
    columns: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.names)


def read_labels(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str],
    attributes: Sequence[str] | None = None,
    image_column: str | None = None,
    max_values: int = MAX_VALUES,
) -> LabelTable:
    """Read a label file and find its images in a folder.

    Parameters
    ----------
    path
        A .csv, .jsonl or .parquet file, see `boost_edge.export.label_files.read_table`.
    images
        The folder that the image names are relative to.
    attributes
        The columns to use, in this order; ``None`` for every column that looks categorical: it
        is neither the image's nor ``split`` nor a probability ``p(NAME)``, is not all numbers,
        has 2 to ``max_values`` values, and at least half of its known cells share their value
        with another row.
    image_column
        The column that names the images; ``None`` for ``file_name``, else ``id``.
    max_values
        Most values that an attribute may have.

    Raises
    ------
    LabelTableError
        When the table cannot be used as it is: malformed, an image named twice with different
        labels or outside the folder, no image found, an attribute without two values, ...
    UsageError
        When ``images`` is not a folder.
    MissingExtraError
        When a Parquet file is given and pyarrow is not installed.
    """
    table = read_table(Path(path))
    located = locate_images(table, images=Path(images), image_column=image_column)
    files = {row: file for row, file in enumerate(located.files) if file is not None}
    parts = _read_parts(table)
    chosen = choose_attributes(table, located.column, list(files), attributes, max_values)
    kept = _drop_repeated(table, files, chosen, parts)
    schema, codes = _encode(table, kept, chosen)
    return LabelTable(
        path=table.path,
        sha256=table.sha256,
        image_column=located.column,
        names=tuple(located.names[row] for row in kept),
        paths=tuple(files[row] for row in kept),
        attributes=schema,
        codes=codes,
        split=None if parts is None else tuple(parts[row] for row in kept),
        missing=located.missing,
        duplicates=len(files) - len(kept),
        columns={
            name: tuple(table.rows[row][index] for row in kept)
            for index, name in enumerate(table.columns)
            if name != located.column
        },
    )


def read_cells(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str],
    image_column: str | None = None,
) -> Cells:
    """Read what a label file says of each image, without choosing what to learn from it.

    Raises
    ------
    LabelTableError
        When the table is malformed, no image is found, or one stands twice with different cells.
    UsageError
        When ``images`` is not a folder.
    MissingExtraError
        When a Parquet file is given and pyarrow is not installed.
    """
    table = read_table(Path(path))
    located = locate_images(table, images=Path(images), image_column=image_column)
    labels = {
        name: index
        for index, name in enumerate(table.columns)
        if name not in (located.column, SPLIT_COLUMN) and not is_probability(table, name)
    }
    by_image: dict[Path, dict[str, str]] = {}
    first: dict[Path, int] = {}
    for row, file in enumerate(located.files):
        if file is None:
            continue
        cells = table.rows[row]
        record = {
            name: cells[index] for name, index in labels.items() if not is_unknown(cells[index])
        }
        earlier = first.setdefault(file, row)
        if by_image.setdefault(file, record) != record:
            raise _conflict(table, file, earlier, row, "cells")
    return Cells(
        columns=tuple(table.columns),
        image_column=located.column,
        by_image=by_image,
        missing=located.missing,
    )


def _read_parts(table: Table) -> list[str] | None:
    if SPLIT_COLUMN not in table.columns:
        return None
    cells = table.column(SPLIT_COLUMN)
    if not any(cells):
        return None
    parts: list[str] = []
    for row, cell in enumerate(cells):
        part = _PARTS.get(cell.casefold())
        if part is None:
            raise LabelTableError(
                f"{table.path}: {table.where(row)}: {SPLIT_COLUMN} is "
                f"{repr(cell) if cell else 'blank'}: write train, val or test in every row"
            )
        parts.append(part)
    return parts


def _drop_repeated(
    table: Table,
    files: Mapping[int, Path],
    attributes: Sequence[str],
    parts: Sequence[str] | None,
) -> list[int]:
    """Keep the first row of each image; later ones must have its labels and its part."""
    indices = [table.columns.index(name) for name in attributes]
    first: dict[Path, int] = {}
    for row, file in files.items():
        earlier = first.setdefault(file, row)
        if earlier == row:
            continue
        for name, index in zip(attributes, indices, strict=True):
            ours, theirs = table.rows[row][index], table.rows[earlier][index]
            if ours != theirs and not (is_unknown(ours) and is_unknown(theirs)):
                raise _conflict(table, file, earlier, row, name)
        if parts is not None and parts[row] != parts[earlier]:
            raise _conflict(table, file, earlier, row, SPLIT_COLUMN)
    return list(first.values())


def _conflict(table: Table, image: Path, earlier: int, row: int, what: str) -> LabelTableError:
    return LabelTableError(
        f"{table.path}: {image} stands on {table.where(earlier)} and {table.where(row)} with "
        f"different {what}: keep one of the two rows"
    )


def _encode(
    table: Table, rows: Sequence[int], attributes: Sequence[str]
) -> tuple[tuple[Attribute, ...], NDArray[np.int64]]:
    schema: list[Attribute] = []
    codes = np.full((len(rows), len(attributes)), UNKNOWN, dtype=np.int64)
    for position, name in enumerate(attributes):
        values = tuple(sorted(count_values(table, name, rows)))
        code = {value: number for number, value in enumerate(values)}
        index = table.columns.index(name)
        codes[:, position] = [code.get(table.rows[row][index], UNKNOWN) for row in rows]
        schema.append(Attribute(name=name, values=values))
    return tuple(schema), codes
