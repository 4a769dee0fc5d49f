"""Galleries of format 1, as versions before format 2 wrote them. Golden: never to be edited."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from boost_edge.runtime.store import STORE_NAME

__all__ = ["as_format_1"]

CREATE = """
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    labels TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'live',
    generation INTEGER NOT NULL,
    vector_key INTEGER NOT NULL,
    vector BLOB NOT NULL
);
CREATE INDEX images_by_digest ON images (digest);
CREATE INDEX images_by_generation ON images (state, generation);
CREATE INDEX images_by_attributes ON images (id, state, predicted, labels);
CREATE INDEX images_by_vector ON images (vector_key, state, generation);
COMMIT;
"""

_META = ("gallery", "model_sha256", "model_path", "dimensions", "generation")


def as_format_1(folder: Path) -> Path:
    """Write a closed gallery of format 2 again as format 1 wrote it; return its database."""
    path = folder / STORE_NAME
    newer = path.rename(folder / "newer")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA page_size = 16384")
        database.executescript(CREATE)
        database.execute("ATTACH ? AS newer", (str(newer),))
        database.execute("INSERT INTO meta VALUES ('format_version', 1)")
        for key in _META:
            database.execute("INSERT INTO meta SELECT * FROM newer.meta WHERE key = ?", (key,))
        database.execute(
            "INSERT INTO images SELECT images.id, path, digest, size, mtime_ns, width, height, "
            "predicted, labels, state, generation, vector_key, vector FROM newer.images "
            "JOIN newer.embeddings ON embeddings.id = images.embedding"
        )
        database.execute("DETACH newer")
        database.execute("PRAGMA journal_mode = WAL")
    newer.unlink()
    return path
