"""What ``verify`` finds in the database, row by row, and in the files that the rows stand for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.runtime.image_rows import ImageRow, check_norms, row_from_values, vector_key
from boost_edge.runtime.labels import flaw_of_labels
from boost_edge.runtime.schema import CREATE, SELECT

__all__ = ["check_embeddings", "check_images", "check_structure"]

# Codes, each with an example: a path where there is one.
Flaws = Iterator[tuple[str, str]]

_CHUNK_ROWS = 1024
_MOST_MESSAGES = 20
_IMAGES = SELECT.replace("\nFROM", ", generation\nFROM") + "ORDER BY images.id"
_DIGEST = 2
# With the path of an image that has it, a live one if there is one.
_EMBEDDINGS = """
SELECT id, digest, vector_key, vector, (SELECT path FROM images
WHERE embedding = embeddings.id ORDER BY state DESC, images.id LIMIT 1) FROM embeddings ORDER BY id
"""
_PARTS = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Embedding:
    """An embedding as it is stored, named after an image that has it."""

    name: str
    key: Any
    vector: Any


def check_structure(database: sqlite3.Connection) -> Flaws:
    """Let SQLite check its pages, records and indexes (sqlite.org/pragma.html); compare tables."""
    for (message,) in database.execute(f"PRAGMA integrity_check({_MOST_MESSAGES:d})"):
        if message != "ok":
            yield "database_damaged", str(message)
    with closing(sqlite3.connect(":memory:")) as reference:
        reference.executescript(CREATE)
        expected = set(reference.execute(_PARTS))
    for kind, name, *_ in sorted(expected - set(database.execute(_PARTS))):
        yield "database_damaged", f"the {kind} {name} is not as it was made"


def check_images(database: sqlite3.Connection, *, generation: int) -> Flaws:
    """Check the row of every image, deleted ones too, and the files of the live ones."""
    with closing(database.execute(_IMAGES)) as cursor:
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            for *values, newest in rows:
                image = _read(values)
                name = image.path if image is not None else f"image {values[0]}"
                if values[_DIGEST] is None:
                    yield "embedding_missing", name
                if image is None or not _makes_sense(image):
                    yield "row_damaged", name
                if not isinstance(newest, int) or not 0 < newest <= generation:
                    yield "generation_wrong", name
                if image is not None and image.state == "live":
                    yield from _check_file(image)


def check_embeddings(database: sqlite3.Connection, *, dimensions: int) -> Flaws:
    """Check every embedding, and that an image has it."""
    with closing(database.execute(_EMBEDDINGS)) as cursor:
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            embeddings: list[_Embedding] = []
            for identity, digest, key, vector, path in rows:
                name = os.fsdecode(path) if isinstance(path, bytes) else f"embedding {identity}"
                if path is None:
                    yield "embedding_unused", name
                if not isinstance(digest, str):
                    yield "row_damaged", name
                embeddings.append(_Embedding(name=name, key=key, vector=vector))
            yield from _check_vectors(embeddings, dimensions)


def _read(values: Sequence[Any]) -> ImageRow | None:
    """Return the row if it can be read, its embedding apart."""
    values = list(values)
    if values[_DIGEST] is None:
        values[_DIGEST] = ""
    with suppress(ValueError):
        return row_from_values(values)
    return None


def _makes_sense(image: ImageRow) -> bool:
    return (
        all(type(n) is int for n in (image.size, image.mtime_ns, image.width, image.height))
        and not flaw_of_labels(image.labels)
        and Path(image.path).is_absolute()
    )


def _check_file(image: ImageRow) -> Flaws:
    try:
        status = Path(image.path).stat()
    except (OSError, ValueError):
        yield "file_missing", image.path
        return
    if (status.st_size, status.st_mtime_ns) != (image.size, image.mtime_ns):
        yield "file_changed", image.path


def _check_vectors(rows: Sequence[_Embedding], dimensions: int) -> Flaws:
    whole: list[_Embedding] = []
    for row in rows:
        if isinstance(row.vector, bytes) and len(row.vector) == 4 * dimensions:
            whole.append(row)
            if vector_key(row.vector) != row.key:
                yield "vector_changed", row.name
        else:
            yield "vector_length", row.name
    data = b"".join(row.vector for row in whole)
    finite, unit = check_norms(np.frombuffer(data, "<f4").reshape(len(whole), dimensions))
    for row, is_finite, is_unit in zip(whole, finite.tolist(), unit.tolist(), strict=True):
        if not is_finite:
            yield "vector_not_finite", row.name
        elif not is_unit:
            yield "vector_not_unit", row.name
