"""The tables of ``gallery.sqlite``, and the statements that name all of their columns."""

from __future__ import annotations

__all__ = [
    "CREATE",
    "EMBED",
    "FORMAT_VERSION",
    "HOLDERS",
    "KEEP",
    "KEYED",
    "OF_DIGEST",
    "OF_THESE",
    "OF_THESE_LIVE",
    "PAGE_BYTES",
    "RENEW",
    "SELECT",
    "SHOWN",
    "STATE",
    "STATE_AT",
    "STORED",
    "STORED_DIGESTS",
    "TOUCH",
    "UPSERT",
    "VECTORS",
    "WITH_KEYS",
]

FORMAT_VERSION = 2

# Several embeddings fit a page of this size, so less of the file is slack.
PAGE_BYTES = 16384

# An embedding belongs to some bytes, an image to a path; equal bytes at two paths are two images
# with one embedding. All that a filter reads stands in ``images``, whose rows are short, so that
# a scan of them needs no index of its own. ``live`` rows are the ones that are searched; a
# ``deleted`` one keeps its embedding, in case its file returns. The triggers take an embedding
# away with the last image that has it, whoever writes, and within the same transaction.
# A change here is a new format: see migrations.py.
CREATE = """
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE embeddings (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    vector_key INTEGER NOT NULL,
    vector BLOB NOT NULL
);
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    embedding INTEGER NOT NULL REFERENCES embeddings (id),
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'live',
    generation INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    labels TEXT NOT NULL
);
CREATE INDEX embeddings_by_vector ON embeddings (vector_key);
CREATE INDEX images_by_embedding ON images (embedding, state, generation);
CREATE INDEX images_by_generation ON images (state, generation);
CREATE TRIGGER image_changed AFTER UPDATE OF embedding ON images
WHEN OLD.embedding <> NEW.embedding BEGIN
    DELETE FROM embeddings WHERE id = OLD.embedding
    AND NOT EXISTS (SELECT 1 FROM images WHERE embedding = OLD.embedding);
END;
CREATE TRIGGER image_removed AFTER DELETE ON images BEGIN
    DELETE FROM embeddings WHERE id = OLD.embedding
    AND NOT EXISTS (SELECT 1 FROM images WHERE embedding = OLD.embedding);
END;
COMMIT;
"""


def _bytes(column: str, kind: str) -> str:
    """Return the SQL for the bytes of a column, none where its value is of another type.

    Python cannot read damaged text, nor say which row it was in; nor are two values equal for
    SQLite whose types differ.
    """
    return f"CASE typeof({column}) WHEN '{kind}' THEN CAST({column} AS BLOB) ELSE x'' END"


_PATH, _STATE = _bytes("path", "blob"), _bytes("state", "text")
_PREDICTED, _LABELS = _bytes("predicted", "text"), _bytes("labels", "text")
_DIGEST = f"CASE WHEN digest IS NOT NULL THEN {_bytes('digest', 'text')} END"

# The columns of an ImageRow, in the order of ``image_rows``. An outer join, so that an image whose
# embedding is gone is damaged, and not merely absent.
SELECT = f"""
SELECT images.id, {_PATH}, {_DIGEST}, size, mtime_ns, width, height,
{_PREDICTED}, {_LABELS}, {_STATE}
FROM images LEFT JOIN embeddings ON embeddings.id = images.embedding
"""  # noqa: S608 - columns of ours

# What a search shows of an image; the embedding it was found by is there.
SHOWN = f"SELECT images.id, {_PATH}, {_PREDICTED}, {_LABELS} FROM images "  # noqa: S608 - columns of ours

# Outer joins: an image whose embedding is gone is damaged, and not merely absent.
VECTORS = """
SELECT images.id, vector FROM images LEFT JOIN embeddings ON embeddings.id = images.embedding
"""
# To be checked, and so as it is.
STORED = VECTORS.replace(", vector", ", vector, vector_key")
OF_THESE = "WHERE images.id IN (SELECT value FROM json_each(?))"
# The unary plus keeps SQLite from an index that most rows are in.
OF_THESE_LIVE = f"{OF_THESE} AND +state = 'live'"
STORED_DIGESTS = "SELECT digest FROM embeddings WHERE digest IN (SELECT value FROM json_each(?))"
OF_DIGEST = """
WHERE embedding = (SELECT id FROM embeddings WHERE digest = ?) ORDER BY images.id LIMIT ?
"""
KEYED = """
SELECT vector_key, vector FROM embeddings WHERE EXISTS
(SELECT 1 FROM images WHERE embedding = embeddings.id AND state = 'live')
"""
WITH_KEYS = """
SELECT vector_key, vector FROM embeddings
WHERE vector_key IN (SELECT value FROM json_each(?))
"""
# A cross join in SQLite is one whose order stays as it is written.
HOLDERS = """
SELECT images.id, vector_key FROM embeddings CROSS JOIN images ON images.embedding = embeddings.id
WHERE vector_key IN (SELECT value FROM json_each(?)) AND state = 'live' AND generation <= ?
"""

# A row is known by its path, whose id stays as it is. Writing twice is the same as once.
UPSERT = """
INSERT INTO images
    (path, size, mtime_ns, width, height, predicted, labels, generation, embedding)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET
    size = excluded.size, mtime_ns = excluded.mtime_ns,
    width = excluded.width, height = excluded.height, predicted = excluded.predicted,
    labels = excluded.labels, state = 'live', generation = excluded.generation,
    embedding = excluded.embedding
"""

# For bytes that are new; for an embedding of known bytes that is another; and for all images that
# have it then.
EMBED = """
INSERT INTO embeddings (digest, vector_key, vector) VALUES (?, ?, ?)
ON CONFLICT (digest) DO NOTHING
"""
RENEW = "UPDATE embeddings SET vector_key = ?, vector = ? WHERE id = ?"
TOUCH = "UPDATE images SET generation = ? WHERE embedding = ?"

# For a row whose bytes are the same: where it is, when it changed, what the user says.
KEEP = "UPDATE images SET path = ?, size = ?, mtime_ns = ?, labels = ? WHERE id = ?"

# For a row that is searched no more, or again: caches of earlier generations do not know it.
STATE = "UPDATE images SET state = ?, generation = ? WHERE id = ?"

# For a row that was just written, and is not live where it comes from.
STATE_AT = "UPDATE images SET state = ? WHERE path = ?"
