"""Galleries of made-up rows, for the tests that move them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.encoder import Prediction
from boost_edge.runtime.image_rows import Changes, ImageRow, State
from boost_edge.runtime.row_stream import pages_of
from boost_edge.runtime.store import Store

WIDTH = 16
MODEL = "5" * 64

Content = tuple[str, str, int, dict[str, str], State]


def a_row(path: str, content: str = "a", **changes: object) -> ImageRow:
    """Return the row of some image, all of which follows from its bytes."""
    number = int(content, 16)
    row = ImageRow(
        id=None,
        path=path,
        digest=content * 64,
        size=100 + number,
        mtime_ns=number,
        width=60 + number,
        height=80,
        predicted={"colour": Prediction(value=f"c{number}", p=1 / (1 + number))},
        labels={},
    )
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type] # checked by the class


def vector_of(row: ImageRow) -> NDArray[np.float32]:
    """Return the embedding of a row's bytes, of norm 1; that of the content 0 is 0."""
    number = int(row.digest[0], 16)
    vector = np.random.default_rng(number).normal(size=WIDTH)
    return (vector / np.linalg.norm(vector) * (number > 0)).astype(np.float32)


def make_gallery(
    folder: Path, rows: Iterable[ImageRow] = (), *, model: str = MODEL, model_path: str = "/gone"
) -> Path:
    """Make a gallery of some rows."""
    folder.mkdir(parents=True)
    Store.create(folder, model_sha256=model, model_path=model_path, dimensions=WIDTH)
    with closing(Store.open(folder)) as store:
        changes = Changes(encoded=[(row, vector_of(row)) for row in rows])
        if len(changes):
            store.commit(changes)
    return folder


def rows_of(folder: Path) -> dict[str, ImageRow]:
    """Return all rows of a gallery by path, without their ids; their vectors are checked."""
    with closing(Store.open(folder)) as store, store.snapshot():
        rows = [row for page in pages_of(store, by="id", deleted=True) for row in page]
        ids = [row.id for row in rows if row.id is not None]
        matrix = store.vectors_of(ids) if ids else np.empty((0, WIDTH), np.float32)
    for row, vector in zip(rows, matrix, strict=True):
        assert vector.tobytes() == vector_of(row).tobytes()
    return {row.path: dataclasses.replace(row, id=None) for row in rows}


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of a gallery's files, but for those that SQLite makes for each reader."""
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if not each.name.endswith(("-shm", "-wal", ".lock"))
    }


def path_of(name: bytes) -> str:
    """Return the absolute path of some bytes."""
    return os.fsdecode(b"/" + name)
