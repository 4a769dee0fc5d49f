"""The tables of ``gallery.sqlite``, and the statements that name all of their columns."""

from __future__ import annotations

__all__ = [
    "CREATE",
    "FORMAT_VERSION",
    "KEEP",
    "PAGE_BYTES",
    "SELECT",
    "STATE",
    "STATE_AT",
    "UPSERT",
]

FORMAT_VERSION = 1

# Several rows with their vectors fit a page of this size, so less of the file is slack.
PAGE_BYTES = 16384

# ``live`` rows are the ones that are searched; a ``deleted`` one keeps its embedding, in case its
# file returns. The vector is last, so that reading the columns before it does not read it.
# ``images_by_attributes`` holds what a filter reads, so that it does not read past the vectors.
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

# The columns of an ImageRow, in the order of ``image_rows``.
SELECT = """
SELECT id, path, digest, size, mtime_ns, width, height, predicted, labels, state FROM images
"""

# A row is known by its path, whose id stays as it is. Writing twice is the same as once.
UPSERT = """
INSERT INTO images
    (path, digest, size, mtime_ns, width, height, predicted, labels,
    generation, vector_key, vector)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET
    digest = excluded.digest, size = excluded.size, mtime_ns = excluded.mtime_ns,
    width = excluded.width, height = excluded.height, predicted = excluded.predicted,
    labels = excluded.labels, state = 'live', generation = excluded.generation,
    vector_key = excluded.vector_key, vector = excluded.vector
"""

# For a row whose bytes are the same: where it is, when it changed, what the user says.
KEEP = "UPDATE images SET path = ?, size = ?, mtime_ns = ?, labels = ? WHERE id = ?"

# For a row that is searched no more, or again: caches of earlier generations do not know it.
STATE = "UPDATE images SET state = ?, generation = ? WHERE id = ?"

# For a row that was just written, and is not live where it comes from.
STATE_AT = "UPDATE images SET state = ? WHERE path = ?"
