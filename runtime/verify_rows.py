"""What ``verify`` finds in the database, row by row, and in the files that the rows stand for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from boost_edge.runtime.image_rows import ImageRow, row_from_values
from boost_edge.runtime.schema import CREATE, SELECT
from boost_edge.runtime.sound_rows import flaw_of_row, flaws_of_pages, flaws_of_vectors

__all__ = ["check_embeddings", "check_images", "check_structure"]

# Codes, each with an example: a path where there is one.
Flaws = Iterator[tuple[str, str]]

_CHUNK_ROWS = 1024
_IMAGES = SELECT.replace("\nFROM", ", generation\nFROM") + "ORDER BY images.id"
_DIGEST = 2
_ANY_DIGEST = b"0" * 64
# With the path of an image that has it, a live one if there is one.
_EMBEDDINGS = """
SELECT id, vector, vector_key, (SELECT CAST(path AS BLOB) FROM images
WHERE embedding = embeddings.id ORDER BY state DESC, images.id LIMIT 1) FROM embeddings ORDER BY id
"""
_PARTS = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL"


def check_structure(database: sqlite3.Connection) -> Flaws:
    """Let SQLite check the database, and compare its tables with those that it was made with."""
    for message in flaws_of_pages(database.execute):
        yield "database_damaged", message
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
                if image is None or flaw_of_row(image):
                    yield "row_damaged", name
                if not isinstance(newest, int) or not 0 < newest <= generation:
                    yield "generation_wrong", name
                if image is not None and image.state == "live":
                    yield from _check_file(image)


def check_embeddings(database: sqlite3.Connection, *, dimensions: int) -> Flaws:
    """Check every embedding, and that an image has it."""
    with closing(database.execute(_EMBEDDINGS)) as cursor:
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            found = flaws_of_vectors([(vector, key) for _, vector, key, _ in rows], dimensions)
            for (identity, _, _, path), codes in zip(rows, found, strict=True):
                name = os.fsdecode(path) if path else f"embedding {identity}"
                if path is None:
                    codes.append("embedding_unused")
                yield from ((code, name) for code in codes)


def _read(values: Sequence[Any]) -> ImageRow | None:
    """Return the row if it can be read, its embedding apart."""
    values = list(values)
    if values[_DIGEST] is None:
        values[_DIGEST] = _ANY_DIGEST
    with suppress(ValueError):
        return row_from_values(values)
    return None


def _check_file(image: ImageRow) -> Flaws:
    try:
        status = Path(image.path).stat()
    except (OSError, ValueError):
        yield "file_missing", image.path
        return
    if (status.st_size, status.st_mtime_ns) != (image.size, image.mtime_ns):
        yield "file_changed", image.path
