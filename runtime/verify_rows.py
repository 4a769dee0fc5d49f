"""What ``verify`` finds in the database, row by row, and in the files that the rows stand for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.runtime.image_rows import ImageRow, row_from_values, vector_key
from boost_edge.runtime.schema import SELECT

__all__ = ["check_rows", "check_structure"]

# Codes, each with an example: a path where there is one.
Flaws = Iterator[tuple[str, str]]

_CHUNK_ROWS = 1024
_MOST_MESSAGES = 20
# Far more than 32-bit arithmetic, or a model in 16 bits, leaves.
_NORM_TOLERANCE = 1e-2
_COLUMNS = SELECT.replace(" FROM", ", generation, vector_key, vector FROM")
_PLAIN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row as it is stored; ``image`` is None where it cannot be read."""

    name: str
    image: ImageRow | None
    generation: Any
    key: Any
    vector: Any


def check_structure(database: sqlite3.Connection) -> Flaws:
    """Let SQLite check its pages, records and indexes (sqlite.org/pragma.html)."""
    for (message,) in database.execute(f"PRAGMA integrity_check({_MOST_MESSAGES:d})"):
        if message != "ok":
            yield "database_damaged", str(message)


def check_rows(database: sqlite3.Connection, *, dimensions: int, generation: int) -> Flaws:
    """Check every row, deleted ones too, and the files of the live ones."""
    with closing(database.execute(_COLUMNS + "ORDER BY id")) as cursor:
        while chunk := cursor.fetchmany(_CHUNK_ROWS):
            rows = [_read(values) for values in chunk]
            for row in rows:
                yield from _check_fields(row, generation)
                if row.image is not None and row.image.state == "live":
                    yield from _check_file(row.image)
            yield from _check_vectors(rows, dimensions)


def _read(values: Sequence[Any]) -> _Row:
    image: ImageRow | None = None
    with suppress(ValueError):
        image = row_from_values(values[:_PLAIN])
    name = image.path if image is not None else f"image {values[0]}"
    generation, key, vector = values[_PLAIN:]
    return _Row(name=name, image=image, generation=generation, key=key, vector=vector)


def _check_fields(row: _Row, generation: int) -> Flaws:
    image = row.image
    whole = (
        image is not None
        and all(type(n) is int for n in (image.size, image.mtime_ns, image.width, image.height))
        and (type(image.digest), type(image.labels)) == (str, dict)
        and Path(image.path).is_absolute()
    )
    if not whole:
        yield "row_damaged", row.name
    if not isinstance(row.generation, int) or not 0 < row.generation <= generation:
        yield "generation_wrong", row.name


def _check_file(image: ImageRow) -> Flaws:
    try:
        status = Path(image.path).stat()
    except (OSError, ValueError):
        yield "file_missing", image.path
        return
    if (status.st_size, status.st_mtime_ns) != (image.size, image.mtime_ns):
        yield "file_changed", image.path


def _check_vectors(rows: Sequence[_Row], dimensions: int) -> Flaws:
    whole: list[_Row] = []
    for row in rows:
        if isinstance(row.vector, bytes) and len(row.vector) == 4 * dimensions:
            whole.append(row)
            if vector_key(row.vector) != row.key:
                yield "vector_changed", row.name
        else:
            yield "vector_length", row.name
    data = b"".join(row.vector for row in whole)
    matrix = np.frombuffer(data, "<f4").reshape(len(whole), dimensions).astype(np.float64)
    norms = np.sqrt(np.vecdot(matrix, matrix))
    finite = np.isfinite(norms)
    # A network may answer nothing at all, which search takes for a vector like no other.
    unit = (np.abs(norms - 1) <= _NORM_TOLERANCE) | (norms == 0)
    for row, is_finite, is_unit in zip(whole, finite.tolist(), unit.tolist(), strict=True):
        if not is_finite:
            yield "vector_not_finite", row.name
        elif not is_unit:
            yield "vector_not_unit", row.name
